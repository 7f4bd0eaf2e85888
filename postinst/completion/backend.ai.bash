# bash completion of backend.ai and backendai-ctl. -*- shell-script -*-
_backendai()
{
    local current=${COMP_WORDS[COMP_CWORD]} found
    found=$(/usr/lib/backendai/completion/complete "${COMP_WORDS[0]##*/}" "$current" \
        "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null)
    mapfile -t COMPREPLY < <(compgen -W "$found" -- "$current")
}
complete -o default -F _backendai backend.ai backendai-ctl
