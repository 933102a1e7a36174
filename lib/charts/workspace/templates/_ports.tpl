{{/* Declared ports by visibility: `workspace.ports` of a dict with `root` and `visibility`, as text with a space between. A range
counts up to 100 ports. The IDE's own port is never one of them: it has its own name. */}}
{{- define "workspace.ports" -}}
{{- $found := list -}}
{{- range $port := .root.Values.gitpod.ports -}}
{{- if eq (eq ($port.visibility | default "private") "public") (eq $.visibility "public") -}}
{{- range $n := untilStep (int $port.first) (int (add1 (min (int $port.last) (add (int $port.first) 99)))) 1 -}}
{{- if ne (int $n) (int $.root.Values.ide.port) -}}{{- $found = append $found (toString $n) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $found | uniq | join " " -}}
{{- end -}}
