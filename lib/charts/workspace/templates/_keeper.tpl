{{/* Stops the workspace when nobody works in it, or when `gp stop` asks. */}}
{{- define "workspace.keeper" -}}
- name: keeper
  image: {{ .Values.ide.image | quote }}
  imagePullPolicy: {{ .Values.imagePullPolicy }}
  command: [/bin/sh, /opt/runbook/keeper.sh]
  env:
    - {name: HOME, value: {{ include "workspace.home" . }}}
    - {name: WORKSPACE_NAME, value: {{ .Release.Name | quote }}}
    - {name: NAMESPACE, value: {{ .Release.Namespace | quote }}}
    - {name: IDLE_STOP, value: {{ .Values.idle.stopAfter | quote }}}
    - {name: IDLE_CHECK, value: {{ .Values.idle.checkEvery | quote }}}
  resources:
    {{- include "workspace.small" . | nindent 4 }}
  securityContext:
    {{- include "workspace.unprivileged" . | nindent 4 }}
    readOnlyRootFilesystem: true
  volumeMounts:
    - {name: files, mountPath: /opt/runbook, readOnly: true}
    - {name: home, mountPath: {{ include "workspace.home" . }}, readOnly: true}
    - {name: run, mountPath: /run/runbook, subPath: runbook}
    - {name: token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- end -}}
