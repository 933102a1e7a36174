{{- define "workspace.volumes" -}}
- name: files
  configMap: {name: {{ .Release.Name }}-files, defaultMode: 0555}
- name: tasks
  configMap: {name: {{ .Release.Name }}-tasks}
- name: run
  emptyDir: {}
- name: workspace
  persistentVolumeClaim: {claimName: {{ .Release.Name }}-workspace}
- name: home
  persistentVolumeClaim: {claimName: {{ .Release.Name }}-home}
{{- if .Values.mariadb.enabled }}
- name: database
  persistentVolumeClaim: {claimName: {{ .Release.Name }}-database}
{{- end }}
{{- if .Values.ide.enabled }}
- name: ide
  {{- if eq .Values.ide.mount "image" }}
  image: {reference: {{ .Values.ide.image | quote }}, pullPolicy: {{ .Values.imagePullPolicy }}}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- end }}
{{- if include "workspace.docker.enabled" . }}
{{ include "workspace.docker.volumes" . }}
{{- end }}
{{- if .Values.repo.secret }}
- name: git
  secret: {secretName: {{ .Values.repo.secret | quote }}, defaultMode: 0440}
{{- end }}
{{- end -}}
