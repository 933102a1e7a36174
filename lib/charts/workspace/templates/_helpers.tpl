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

{{- define "workspace.home" -}}
{{- printf "/home/%s" .Values.user.name -}}
{{- end -}}

{{/* Where the repository lies, or the example page. */}}
{{- define "workspace.folder" -}}
{{- printf "/workspace/%s" (.Values.checkoutLocation | default .Release.Name) -}}
{{- end -}}

{{/* What the IDE opens and Apache serves. */}}
{{- define "workspace.location" -}}
{{- if .Values.workspaceLocation -}}
{{- printf "/workspace/%s" .Values.workspaceLocation -}}
{{- else -}}
{{- include "workspace.folder" . -}}
{{- end -}}
{{- end -}}

{{/* Hosts. An owner has no hyphen, so <workspace>-<owner> and <port>-<workspace>-<owner> are each read one way only. */}}
{{- define "workspace.host" -}}
{{- printf "%s-%s.ws.%s" .Release.Name (include "workspace.owner" .) .Values.domain -}}
{{- end -}}

{{/* Bare: no rights but the process's own. */}}
{{- define "workspace.unprivileged" -}}
runAsUser: {{ .Values.user.uid }}
runAsGroup: {{ .Values.user.gid }}
runAsNonRoot: true
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
{{- end -}}

{{/* What every process of the workspace, and those that prepare it, find in their environment. */}}
{{- define "workspace.env" -}}
- {name: HOME, value: {{ include "workspace.home" . }}}
- {name: USER, value: {{ .Values.user.name }}}
- {name: WORKSPACE_NAME, value: {{ .Release.Name | quote }}}
- {name: WORKSPACE_OWNER, value: {{ include "workspace.owner" . | quote }}}
- {name: WORKSPACE_FOLDER, value: {{ include "workspace.folder" . | quote }}}
- {name: WORKSPACE_REPO, value: {{ .Values.repo.url | quote }}}
{{- end -}}

{{/* The password of the repository, where there is one. */}}
{{- define "workspace.git.env" -}}
{{- if .Values.repo.secret }}
- {name: GIT_ASKPASS, value: /opt/runbook/askpass.sh}
{{- end }}
- {name: GIT_TERMINAL_PROMPT, value: "0"}
{{- end -}}
