{{/* Adminer, beside the database that it shows. Its image's own command, on another port: 8080 is left to the person. */}}
{{- define "workspace.adminer" -}}
- name: adminer
  image: {{ .Values.adminer.image | quote }}
  imagePullPolicy: {{ .Values.imagePullPolicy }}
  args: [php, -S, "0.0.0.0:{{ .Values.adminer.port }}", -t, /var/www/html]
  env:
    - {name: ADMINER_DEFAULT_SERVER, value: 127.0.0.1}
  ports:
    - {name: adminer, containerPort: {{ .Values.adminer.port }}, protocol: TCP}
  readinessProbe:
    tcpSocket: {port: adminer}
    periodSeconds: 5
  resources:
    {{- toYaml .Values.adminer.resources | nindent 4 }}
  securityContext:
    {{- include "workspace.unprivileged" . | nindent 4 }}
{{- end -}}
