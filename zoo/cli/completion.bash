_phizoo_completion() {
    local line="${COMP_LINE:0:COMP_POINT}" typed kept kind value
    local -a words
    IFS=$' \t\n' read -ra words <<< "$line"
    [[ "$line" == *[[:space:]] ]] && words+=("")
    typed="${words[-1]}"
    kept="${typed%"${typed##*["$COMP_WORDBREAKS"]}"}"
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case "$kind" in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("${value#"$kept"}") ;;
        esac
    done < <(COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) \
        _PHIZOO_COMPLETE=bash_complete "${words[0]}" 2>/dev/null)
}
complete -o nosort -F _phizoo_completion phizoo
