#!/bin/sh
# cdktr: the head of a file whose rest is the program, as a tar.gz. It is unpacked once, into a folder that is named by
# what it holds; from then on this head looks for that folder and becomes the program in it, without starting anything
# else. It needs `sh` alone for that, and tail, gzip and tar for the first start.
#
# The folder is <place>/<hash>, and the first of these places that serves:
#   1. program-<user id> in CDKTR_APP_DATA_DIRECTORY, else in ~/.cdktr
#   2. .cdktr-<user id> beside this file
#   3. .cdktr-<user id> in /var/tmp
#
# Nothing of the file runs that is not whole: all of the head is read before its last line starts it.

# What pack.py knows.
hash=@HASH@
offset=@OFFSET@
size=@SIZE@
needs_mb=@NEEDS_MB@
machine=@MACHINE@
loader=@LOADER@
# The files of the folder, all of which hold something.
files='@FILES@'

# The exit code for what cannot start; `cdktr --help` shows it.
CANNOT_START=5

# Sets `file`, this file, and `data`, the place that the settings name; each is absolute, or empty when unknown.
look_around() {
    file=$0
    case $file in
    /*) ;;
    ./*) file=${PWD%/}/${file#./} ;;
    */*) file=${PWD%/}/$file ;;
    # As in `sh cdktr`.
    *) if [ -f "$file" ]; then file=${PWD%/}/$file; else file=$(command -v -- "$file"); fi ;;
    esac
    # As the settings read it; what stands in .env is not known yet.
    # shellcheck disable=SC2016,SC2088 # it is the text of a setting
    data=${CDKTR_APP_DATA_DIRECTORY:-'~/.cdktr'}
    # shellcheck disable=SC2016,SC2088
    case $data in
    '~' | '~/'*) data=${HOME:+$HOME${data#'~'}} ;;
    '$HOME' | '$HOME/'*) data=${HOME:+$HOME${data#'$HOME'}} ;;
    '${HOME}' | '${HOME}/'*) data=${HOME:+$HOME${data#'${HOME}'}} ;;
    esac
    case $data in
    '' | /*) ;;
    *) data=${PWD%/}/$data ;;
    esac
}

is_whole() {
    for each in $files; do
        [ -s "$folder/$each" ] || return 1
    done
}

# Whether the file or folder is of this user, and no link to one.
# shellcheck disable=SC3067 # -O: dash, bash, busybox, ksh and mksh have it
is_ours() {
    [ -O "$1" ] && [ ! -L "$1" ]
}

# Whether nobody else can put another program into the data folder between a look at it and the start: of root, who is
# known by owning /, that asks that the folder above is root's too. Whoever can write beside the file can put another
# file there, and /var/tmp is sticky.
# shellcheck disable=SC3067
is_trusted() {
    [ -O "$data" ] && { [ ! -O / ] || [ -O "${data%/*}/" ]; }
}

# Sets `folder` to the unpacked program of a place, of which "$1" is the path without the user's id. That costs a
# process to know: of the rooms of all users the own one is found by its owner.
find_program() {
    for room in "$1"*; do
        folder=$room/$hash
        if [ -x "$folder/cdktr" ] && is_ours "$room" && is_ours "$folder" && is_ours "$folder/cdktr" && is_whole; then
            return 0
        fi
    done
    return 1
}

# Becomes the program: the same process, its signals and its exit code.
start() {
    case ${1-} in
    start | listen)
        # What this shell does to the environment (it adds, changes and drops variables) must not reach a task.
        original=$({ tr '\0\n' '\n\001' <"/proc/$$/environ"; } 2>/dev/null)
        # One variable can hold no more than that.
        if [ "${#original}" -lt 100000 ]; then
            _CDKTR_ENVIRONMENT=$original
            export _CDKTR_ENVIRONMENT
        fi
        ;;
    esac
    _CDKTR_FILE=$file
    export _CDKTR_FILE
    exec "$folder/cdktr" "$@"
}

# Ends with sentences on stderr.
give_up() {
    printf 'cdktr: %s\n' "$1" >&2
    exit "$CANNOT_START"
}

# Sets `why`, the reason that a place does not serve: the last part of what a program said about "$2" or failed with.
because() {
    case $1 in
    *'No space left on device'* | *[Qq]'uota exceeded'*) why="there is no room for it; it needs $needs_mb MB" ;;
    *'File too large'* | *'File size limit exceeded'*) why='its files are larger than this user may write (ulimit -f)' ;;
    *'Permission denied'*) why='this user may not write there' ;;
    *'Read-only file system'*) why='it can only be read' ;;
    *) why=${1##*: } ;;
    esac
    return 1
}

# Sets `hopeless` when what the program said is about this host: then it starts from no other place either.
blame_host() {
    library=C
    case $1 in
    *GLIBC_[0-9]*) lacks=GLIBC_${1#*GLIBC_} ;;
    *GLIBCXX_[0-9]*) lacks=GLIBCXX_${1#*GLIBCXX_} library=C++ ;;
    # The last is an ash that takes it for a script.
    *'Exec format error'* | *'cannot execute binary file'* | *': not executable: '*ELF* | "$new/cdktr: line "*)
        hopeless="This host calls itself $machine and does not run programs for that: take the file for its processor."
        return
        ;;
    *) return ;;
    esac
    lacks=${lacks%%[!A-Z0-9_.]*}
    hopeless="This host's $library library is older than this file needs ($lacks): take the file that \`make release\` \
makes, for glibc 2.28 and newer."
}

# Sets `own` to the private folder of this user in a place, and makes it; `kept` is what was there of the way to it.
make_room() {
    own=$1$user
    # Somebody else has taken the name.
    if { [ -e "$own" ] || [ -L "$own" ]; } && ! { [ -d "$own" ] && is_ours "$own"; }; then
        own=$own.$$
    fi
    kept=${own%/*}
    while [ -n "$kept" ] && [ ! -e "$kept" ]; do
        kept=${kept%/*}
    done
    said=$(LC_ALL=C mkdir -p "$own" 2>&1) || because "$said" || return 1
    said=$(LC_ALL=C chmod 700 "$own" 2>&1) || because "$said" || return 1
    new=$own/.$hash.$host.$$
    said=$(LC_ALL=C mkdir "$new" 2>&1) || because "$said" || return 1
    # Another start may have removed it in between, and somebody else may have taken the name.
    why='another user has taken the name'
    is_ours "$own"
}

# Waits while somebody who began earlier unpacks the same, which spares the disk a second copy. It decides nothing:
# who waits in vain unpacks all the same, and settling is atomic.
await_others() {
    for other in "$own/.$hash.$host".*; do
        process=${other##*.}
        [ "$process" != "$$" ] || continue
        if ! kill -0 "$process" 2>/dev/null; then
            # It was killed.
            rm -rf "$other"
            continue
        fi
        [ "$process" -lt "$$" ] || continue
        rounds=0
        while [ -d "$other" ] && [ "$rounds" -lt 200 ] && kill -0 "$process" 2>/dev/null; do
            sleep 0.2 2>/dev/null || sleep 1
            rounds=$((rounds + 1))
        done
    done
}

# The program in the folder `new`. One that may not be started there is found out before it is unpacked.
unpack_into_new() {
    said=$( (LC_ALL=C printf '#!/bin/sh\n' >"$new/probe" && chmod 700 "$new/probe") 2>&1) || because "$said" || return 1
    if ! "$new/probe" 2>/dev/null; then
        why='programs may not be started from there (it is mounted noexec)'
        return 1
    fi
    rm -f "$new/probe"
    said=$({
        LC_ALL=C
        export LC_ALL
        tail -c "+$offset" "$file" | gzip -dc | tar -xof - -C "$new"
    } 2>&1) || because "$said" || return 1
    # A shell knows how the last program of these ended. What the others did is seen now, to the byte, by the program;
    # it gives the folder its name.
    said=$("$new/cdktr" --settle "$new" "$own/$hash" 2>&1) && return 0
    blame_host "$said"
    why="the program cannot be started from there: $said"
    return 1
}

# Whether the data folder is trusted, or may be made. Else `why` says why not.
# shellcheck disable=SC3067
may_use_data() {
    why='it belongs to another user, or the folder above it does'
    if [ -e "$data" ]; then
        is_trusted
    else
        [ ! -O / ] || [ ! -e "${data%/*}/" ] || [ -O "${data%/*}/" ]
    fi
}

# The program in a place, as for `find_program`. Else `why` says why not.
unpack() {
    [ "$1" != "$data/program-" ] || may_use_data || return 1
    if make_room "$1"; then
        await_others
        if find_program "$1" || { unpack_into_new && find_program "$1"; }; then
            clean_up
            return 0
        fi
    fi
    leave
    return 1
}

clean_up() {
    [ -z "$new" ] || rm -rf "$new"
}

# Leaves a place as it was found.
leave() {
    clean_up
    [ -n "$own" ] || return 0
    rmdir "$own" 2>/dev/null
    above=${own%/*}
    while [ "$above" != "$kept" ] && { [ ! -e "$above" ] || rmdir "$above" 2>/dev/null; }; do
        above=${above%/*}
    done
}

# Whether this file, this host and its programs are such that unpacking makes sense.
check() {
    for each in id uname wc mkdir chmod rm rmdir tail gzip tar; do
        command -v "$each" >/dev/null || give_up "The first start needs \`$each\`, which is not on PATH (${PATH-})."
    done
    [ -r "$file" ] || give_up "Its own file ($file) cannot be read; start it by its path."
    found=$(wc -c <"$file")
    [ "$found" -eq "$size" ] ||
        give_up "$file is not whole: it has $((found)) bytes of $size. Copy it here once more."
    [ "$(uname -m)" = "$machine" ] ||
        give_up "This file is for $machine, and this host is $(uname -m); take the file for that."
    [ -e "$loader" ] ||
        give_up "This host has no GNU C library ($loader), which this file needs; musl, as in Alpine, is none."
}

# The first start. `beside` and `real` are as in `main`.
first_start() {
    check
    user=$(id -u)
    host=$(uname -n)
    tried=
    hopeless=
    # Whatever the environment has under these names.
    own=
    new=
    mask=$(umask)
    umask 077
    trap 'leave; exit 129' HUP
    trap 'leave; exit 130' INT
    trap 'leave; exit 143' TERM
    for place in ${data:+"$data/program-"} "$beside/.cdktr-" /var/tmp/.cdktr-; do
        if unpack "$place"; then
            trap - HUP INT TERM
            umask "$mask"
            start "$@"
        fi
        [ -z "$hopeless" ] || give_up "$hopeless"
        tried="$tried
  ${place%/*}: $why"
    done
    give_up "It must be unpacked once, and no folder serves for that:$tried
Set CDKTR_APP_DATA_DIRECTORY to a folder with room for $needs_mb MB in which this user may write and start programs."
}

main() {
    look_around
    [ -z "$data" ] || ! is_trusted || ! find_program "$data/program-" || start "$@"
    # A link to the file may stand in a folder of other people's.
    real=$file
    [ ! -L "$file" ] || real=$(readlink -f -- "$file") || real=$file
    beside=${real%/*}
    ! find_program "$beside/.cdktr-" || start "$@"
    ! find_program /var/tmp/.cdktr- || start "$@"
    first_start "$@"
}

main "$@"
# shellcheck disable=SC2317 # what follows is no text
exit
