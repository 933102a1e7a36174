{{/* What runs before the workspace: its users, its repository, a copy of the IDE where it cannot be mounted. */}}
{{- define "workspace.prepare" -}}
- name: users
  image: {{ .Values.image | quote }}
  imagePullPolicy: {{ .Values.imagePullPolicy }}
  command: [/bin/sh, /opt/runbook/prepare.sh]
  terminationMessagePolicy: FallbackToLogsOnError
  env:
    - {name: HOME, value: {{ include "workspace.home" . }}}
    - {name: WORKSPACE_USER, value: {{ .Values.user.name }}}
    - {name: WORKSPACE_UID, value: {{ .Values.user.uid | quote }}}
    - {name: WORKSPACE_GID, value: {{ .Values.user.gid | quote }}}
  resources:
    {{- include "workspace.small" . | nindent 4 }}
  securityContext:
    {{- include "workspace.unprivileged" . | nindent 4 }}
  volumeMounts:
    - {name: files, mountPath: /opt/runbook, readOnly: true}
    - {name: run, mountPath: /mnt/etc, subPath: etc}
{{- if .Values.repo.url }}
- name: clone
  image: {{ .Values.ide.image | quote }}
  imagePullPolicy: {{ .Values.imagePullPolicy }}
  command: [/bin/sh, /opt/runbook/clone.sh]
  terminationMessagePolicy: FallbackToLogsOnError
  env:
    {{- include "workspace.env" . | nindent 4 }}
    {{- include "workspace.git.env" . | nindent 4 }}
    - {name: WORKSPACE_REF, value: {{ .Values.repo.ref | quote }}}
  resources:
    requests: {cpu: 50m, memory: 64Mi}
    limits: {cpu: "1", memory: 512Mi}
  securityContext:
    {{- include "workspace.unprivileged" . | nindent 4 }}
  volumeMounts:
    - {name: files, mountPath: /opt/runbook, readOnly: true}
    - {name: tasks, mountPath: /opt/runbook-tasks, readOnly: true}
    - {name: workspace, mountPath: /workspace}
    - {name: home, mountPath: {{ include "workspace.home" . }}}
    {{- if .Values.repo.secret }}
    - {name: git, mountPath: /run/secrets/git, readOnly: true}
    {{- end }}
{{- end }}
{{- if and .Values.ide.enabled (eq .Values.ide.mount "copy") }}
- name: ide
  image: {{ .Values.ide.image | quote }}
  imagePullPolicy: {{ .Values.imagePullPolicy }}
  # -r, not -a: the folder is not ours, so its times and owners cannot be kept.
  command: [/bin/sh, -c, "mkdir -p /mnt/ide/usr/lib && cp -r /usr/lib/code-server /mnt/ide/usr/lib/"]
  terminationMessagePolicy: FallbackToLogsOnError
  resources:
    requests: {cpu: 50m, memory: 64Mi}
    limits: {cpu: "1", memory: 256Mi}
  securityContext:
    {{- include "workspace.unprivileged" . | nindent 4 }}
  volumeMounts:
    - {name: ide, mountPath: /mnt/ide}
{{- end }}
{{- if and (include "workspace.docker.enabled" .) (ne .Values.ide.mount "image") }}
{{ include "workspace.docker.copy" . }}
{{- end }}
{{- end -}}

{{- define "workspace.small" -}}
requests: {cpu: 5m, memory: 16Mi}
limits: {cpu: "1", memory: 64Mi}
{{- end -}}
