{{/* What never changes, and so may select pods. */}}
{{- define "keeper.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "keeper.labels" -}}
{{ include "keeper.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: runbook
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Objects of the whole cluster. */}}
{{- define "keeper.cluster" -}}
{{- printf "runbook-%s" .Release.Name -}}
{{- end -}}
