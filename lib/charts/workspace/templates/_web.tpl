{{/* The container that the person works in: Apache now, the IDE beside it. */}}
{{- define "workspace.web" -}}
- name: web
  image: {{ .Values.image | quote }}
  imagePullPolicy: {{ .Values.imagePullPolicy }}
  command: [/bin/sh, /opt/runbook/start.sh]
  workingDir: /workspace
  env:
    {{- include "workspace.env" . | nindent 4 }}
  ports:
    - {name: http, containerPort: 80, protocol: TCP}
  startupProbe:
    tcpSocket: {port: http}
    periodSeconds: 1
    failureThreshold: 120
  readinessProbe:
    tcpSocket: {port: http}
    periodSeconds: 5
  livenessProbe:
    tcpSocket: {port: http}
    periodSeconds: 20
    failureThreshold: 6
  resources:
    {{- toYaml .Values.web.resources | nindent 4 }}
  securityContext:
    runAsUser: {{ .Values.user.uid }}
    runAsGroup: {{ .Values.user.gid }}
    runAsNonRoot: true
    allowPrivilegeEscalation: false
    capabilities: {drop: [ALL]}
  volumeMounts:
    - {name: workspace, mountPath: /workspace}
    - {name: home, mountPath: /home/{{ .Values.user.name }}}
    - {name: files, mountPath: /opt/runbook, readOnly: true}
    # Where Apache keeps its pid and locks; the image's own folders are root's.
    - {name: run, mountPath: /run/apache2, subPath: apache2}
    - {name: run, mountPath: /run/lock/apache2, subPath: apache2-lock}
    - {name: files, mountPath: /etc/apache2/sites-enabled/000-default.conf, subPath: apache-site.conf, readOnly: true}
{{- end -}}

{{/* What processes of the workspace find in their environment. */}}
{{- define "workspace.env" -}}
- {name: HOME, value: /home/{{ .Values.user.name }}}
- {name: USER, value: {{ .Values.user.name }}}
- {name: WORKSPACE_NAME, value: {{ .Release.Name | quote }}}
- {name: WORKSPACE_OWNER, value: {{ include "workspace.owner" . | quote }}}
- {name: WORKSPACE_FOLDER, value: {{ include "workspace.folder" . | quote }}}
- {name: WORKSPACE_DOCUMENT_ROOT, value: {{ .Values.web.documentRoot | quote }}}
{{- if .Values.mariadb.enabled }}
- {name: DB_HOST, value: 127.0.0.1}
- {name: DB_PORT, value: "3306"}
- {name: DB_DATABASE, value: {{ .Values.mariadb.database | quote }}}
- {name: DB_USERNAME, value: {{ .Values.mariadb.user | quote }}}
- name: DB_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ include "workspace.secret" . }}, key: db-password}
{{- end }}
{{- end -}}
