{{- define "lamp.selector" -}}
app.kubernetes.io/name: lamp
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "lamp.labels" -}}
{{ include "lamp.selector" . }}
app.kubernetes.io/component: web
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
