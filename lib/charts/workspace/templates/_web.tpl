{{/* The container that the person works in: the IDE, its terminals and tasks, and Apache. */}}
{{- define "workspace.web" -}}
- name: web
  image: {{ .Values.image | quote }}
  imagePullPolicy: {{ .Values.imagePullPolicy }}
  command: [/bin/sh, /opt/runbook/start.sh]
  workingDir: /workspace
  terminationMessagePolicy: FallbackToLogsOnError
  env:
    {{- include "workspace.env" . | nindent 4 }}
    {{- include "workspace.git.env" . | nindent 4 }}
    - {name: WORKSPACE_LOCATION, value: {{ include "workspace.location" . | quote }}}
    - {name: WORKSPACE_DOCUMENT_ROOT, value: {{ .Values.web.documentRoot | quote }}}
    - {name: WORKSPACE_WEB, value: {{ .Values.web.enabled | quote }}}
    - {name: WORKSPACE_IMAGE, value: {{ .Values.image | quote }}}
    - {name: WORKSPACE_URL, value: {{ if .Values.domain }}{{ printf "%s://%s" .Values.scheme (include "workspace.host" .) | quote }}{{ else }}""{{ end }}}
    # The name is code-server's own, for its list of ports; `gp url` reads it too.
    - {name: VSCODE_PROXY_URI, value: {{ if .Values.domain }}{{ printf "%s://{{port}}-%s" .Values.scheme (include "workspace.host" .) | quote }}{{ else }}""{{ end }}}
    - {name: WORKSPACE_KEEPER, value: {{ printf "http://%s.%s" .Values.keeper.service .Values.keeper.namespace | quote }}}
    - {name: INIT_LIMIT, value: {{ .Values.gitpod.initLimit | quote }}}
    # The names that Gitpod guarantees.
    - {name: GITPOD_WORKSPACE_ID, value: {{ printf "%s-%s" .Release.Name (include "workspace.owner" .) | quote }}}
    - {name: GITPOD_WORKSPACE_URL, value: {{ if .Values.domain }}{{ printf "%s://%s" .Values.scheme (include "workspace.host" .) | quote }}{{ else }}""{{ end }}}
    - {name: GITPOD_REPO_ROOT, value: {{ include "workspace.folder" . | quote }}}
    {{- if .Values.ide.enabled }}
    - {name: IDE_PORT, value: {{ .Values.ide.port | quote }}}
    # Its cookie bears the workspace's name: the gateway hands it to no other workspace.
    - {name: CODE_SERVER_COOKIE_SUFFIX, value: {{ printf "%s-%s" .Release.Name (include "workspace.owner" .) | quote }}}
    - name: IDE_PASSWORD
      valueFrom:
        secretKeyRef: {name: {{ include "workspace.secret" . }}, key: ide-password}
    {{- end }}
    {{- if include "workspace.docker.enabled" . }}
    - {name: DOCKER_HOST, value: "unix:///run/dockerd/docker.sock"}
    {{- end }}
    {{- if .Values.mariadb.enabled }}
    - {name: DB_HOST, value: 127.0.0.1}
    - {name: DB_PORT, value: "3306"}
    - {name: DB_DATABASE, value: {{ .Values.mariadb.database | quote }}}
    - {name: DB_USERNAME, value: {{ .Values.mariadb.user | quote }}}
    - name: DB_PASSWORD
      valueFrom:
        secretKeyRef: {name: {{ include "workspace.secret" . }}, key: db-password}
    {{- end }}
  {{- if or .Values.web.enabled .Values.ide.enabled }}
  ports:
    {{- if .Values.web.enabled }}
    - {name: http, containerPort: 80, protocol: TCP}
    {{- end }}
    {{- if .Values.ide.enabled }}
    - {name: ide, containerPort: {{ .Values.ide.port }}, protocol: TCP}
    {{- end }}
  {{- end }}
  {{- if .Values.ide.enabled }}
  # /healthz does not count as somebody at work.
  {{- $probe := dict "httpGet" (dict "path" "/healthz" "port" "ide") }}
  {{- include "workspace.probes" $probe | nindent 2 }}
  {{- else if .Values.web.enabled }}
  {{- $probe := dict "tcpSocket" (dict "port" "http") }}
  {{- include "workspace.probes" $probe | nindent 2 }}
  {{- end }}
  resources:
    {{- toYaml .Values.web.resources | nindent 4 }}
  securityContext:
    {{- include "workspace.unprivileged" . | nindent 4 }}
  volumeMounts:
    - {name: workspace, mountPath: /workspace}
    - {name: home, mountPath: {{ include "workspace.home" . }}}
    - {name: files, mountPath: /opt/runbook, readOnly: true}
    - {name: tasks, mountPath: /opt/runbook-tasks, readOnly: true}
    - {name: run, mountPath: /run/runbook, subPath: runbook}
    - {name: run, mountPath: /etc/passwd, subPath: etc/passwd, readOnly: true}
    - {name: run, mountPath: /etc/group, subPath: etc/group, readOnly: true}
    {{- if .Values.web.enabled }}
    # Where Apache keeps its pid, locks and logs; the image's own folders may be root's.
    - {name: run, mountPath: /run/apache2, subPath: apache2}
    - {name: run, mountPath: /run/lock/apache2, subPath: apache2-lock}
    - {name: run, mountPath: /var/log/apache2, subPath: apache2-log}
    - {name: files, mountPath: /etc/apache2/sites-enabled/000-default.conf, subPath: apache-site.conf, readOnly: true}
    {{- end }}
    {{- if .Values.ide.enabled }}
    - {name: ide, mountPath: /opt/ide, readOnly: true}
    {{- end }}
    {{- if include "workspace.docker.enabled" . }}
    {{- include "workspace.docker.mounts" . | nindent 4 }}
    {{- end }}
    {{- if .Values.repo.secret }}
    - {name: git, mountPath: /run/secrets/git, readOnly: true}
    {{- end }}
{{- end -}}

{{/* One way of asking, at three rhythms. */}}
{{- define "workspace.probes" -}}
startupProbe:
  {{- toYaml . | nindent 2 }}
  periodSeconds: 1
  timeoutSeconds: 5
  failureThreshold: 180
readinessProbe:
  {{- toYaml . | nindent 2 }}
  periodSeconds: 5
  timeoutSeconds: 5
livenessProbe:
  {{- toYaml . | nindent 2 }}
  periodSeconds: 20
  timeoutSeconds: 10
  failureThreshold: 6
{{- end -}}
