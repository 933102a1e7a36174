{{/* MariaDB. Variables and healthcheck.sh are those of the official image:
https://mariadb.com/kb/en/mariadb-server-docker-official-image-environment-variables */}}
{{- define "workspace.mariadb" -}}
- name: mariadb
  image: {{ .Values.mariadb.image | quote }}
  imagePullPolicy: {{ .Values.imagePullPolicy }}
  # Inside the pod only: nobody else, of whatever namespace, reaches the database.
  args:
    - --bind-address=127.0.0.1
    {{- range .Values.mariadb.args }}
    - {{ . | quote }}
    {{- end }}
  env:
    - {name: MARIADB_DATABASE, value: {{ .Values.mariadb.database | quote }}}
    - {name: MARIADB_USER, value: {{ .Values.mariadb.user | quote }}}
    - name: MARIADB_PASSWORD
      valueFrom:
        secretKeyRef: {name: {{ include "workspace.secret" . }}, key: db-password}
    - name: MARIADB_ROOT_PASSWORD
      valueFrom:
        secretKeyRef: {name: {{ include "workspace.secret" . }}, key: db-root-password}
  # Minutes, not seconds: the first start makes the database.
  startupProbe:
    exec: {command: [healthcheck.sh, --connect, --innodb_initialized]}
    periodSeconds: 2
    timeoutSeconds: 5
    failureThreshold: 150
  readinessProbe:
    exec: {command: [healthcheck.sh, --connect, --innodb_initialized]}
    periodSeconds: 15
    timeoutSeconds: 5
  resources:
    {{- toYaml .Values.mariadb.resources | nindent 4 }}
  # Its entry point is root until it has made the folder its own, then the server is `mysql`.
  securityContext:
    allowPrivilegeEscalation: false
    capabilities:
      drop: [ALL]
      add: [CHOWN, DAC_OVERRIDE, FOWNER, SETGID, SETUID]
  volumeMounts:
    - {name: database, mountPath: /var/lib/mysql}
    - {name: files, mountPath: /etc/mysql/conf.d/runbook.cnf, subPath: mariadb.cnf, readOnly: true}
{{- end -}}
