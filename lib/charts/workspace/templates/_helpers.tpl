{{/* Who the workspace belongs to. */}}
{{- define "workspace.owner" -}}
{{- .Values.owner | default (trimPrefix "ws-" .Release.Namespace) -}}
{{- end -}}

{{/* What never changes, and so may select pods. */}}
{{- define "workspace.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "workspace.labels" -}}
{{ include "workspace.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: runbook
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
runbook/owner: {{ include "workspace.owner" . | quote }}
runbook/workspace: {{ .Release.Name | quote }}
{{- end -}}

{{- define "workspace.secret" -}}
{{- .Values.existingSecret | default .Release.Name -}}
{{- end -}}

{{/* The folder that the person works in. */}}
{{- define "workspace.folder" -}}
{{- printf "/workspace/%s" .Release.Name -}}
{{- end -}}
