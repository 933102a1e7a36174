{{- define "workspace.docker.enabled" -}}
{{- if ne .Values.docker.mode "none" -}}true{{- end -}}
{{- end -}}

{{/* A Docker daemon of this workspace's own, behind a socket that only its containers see. Entry point and paths are those of the
official image: https://github.com/docker-library/docker (dockerd-entrypoint.sh, 28/cli/Dockerfile). */}}
{{- define "workspace.docker" -}}
- name: docker
  image: {{ .Values.docker.image | quote }}
  imagePullPolicy: {{ .Values.imagePullPolicy }}
  command: [/bin/sh, /opt/runbook/dockerd.sh]
  terminationMessagePolicy: FallbackToLogsOnError
  env:
    - {name: DOCKER_SOCKET, value: /run/dockerd/docker.sock}
    - {name: DOCKER_GID, value: {{ .Values.user.gid | quote }}}
    - {name: DOCKER_MIRROR, value: {{ .Values.docker.mirror | quote }}}
  startupProbe:
    exec: {command: [test, -S, /run/dockerd/docker.sock]}
    periodSeconds: 1
    timeoutSeconds: 5
    failureThreshold: 120
  resources:
    {{- toYaml .Values.docker.resources | nindent 4 }}
  securityContext:
    {{- include "workspace.docker.rights" . | nindent 4 }}
  volumeMounts:
    # A subpath, so that a volume's fsGroup is compared with the volume's root and never set on the layers of images.
    - {name: docker, mountPath: /var/lib/docker, subPath: docker}
    - {name: run, mountPath: /run/dockerd, subPath: dockerd}
    - {name: files, mountPath: /opt/runbook, readOnly: true}
    # The same paths as in the workspace: the daemon looks up what `-v` and compose files name.
    - {name: workspace, mountPath: /workspace}
    - {name: home, mountPath: {{ include "workspace.home" . }}}
{{- end -}}

{{/* userns: every right in the pod's own user namespace, none on the host. privileged: root on the host. */}}
{{- define "workspace.docker.rights" -}}
runAsUser: 0
runAsGroup: 0
{{- if eq .Values.docker.mode "privileged" }}
privileged: true
{{- else }}
capabilities: {add: [ALL]}
procMount: Unmasked
seccompProfile: {type: Unconfined}
appArmorProfile: {type: Unconfined}
{{- end }}
{{- end -}}

{{/* What the pod itself needs for it. */}}
{{- define "workspace.docker.pod" -}}
{{- if eq .Values.docker.mode "userns" }}
hostUsers: false
{{- with .Values.docker.runtimeClass }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "workspace.docker.volumes" -}}
- name: docker
  persistentVolumeClaim: {claimName: {{ .Release.Name }}-docker}
# The client and its plugins, out of the daemon's image.
- name: docker-cli
  {{- if eq .Values.ide.mount "image" }}
  image: {reference: {{ .Values.docker.image | quote }}, pullPolicy: {{ .Values.imagePullPolicy }}}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- end -}}

{{- define "workspace.docker.mounts" -}}
- {name: run, mountPath: /run/dockerd, subPath: dockerd}
- {name: docker-cli, mountPath: /opt/docker, readOnly: true}
{{- end -}}

{{/* A copy of the client, where images cannot be mounted. */}}
{{- define "workspace.docker.copy" -}}
- name: docker-cli
  image: {{ .Values.docker.image | quote }}
  imagePullPolicy: {{ .Values.imagePullPolicy }}
  command: [/bin/sh, /opt/runbook/docker-copy.sh]
  terminationMessagePolicy: FallbackToLogsOnError
  resources:
    requests: {cpu: 50m, memory: 64Mi}
    limits: {cpu: "1", memory: 256Mi}
  securityContext:
    {{- include "workspace.unprivileged" . | nindent 4 }}
  volumeMounts:
    - {name: files, mountPath: /opt/runbook, readOnly: true}
    - {name: docker-cli, mountPath: /mnt/docker}
{{- end -}}
