# shellcheck shell=bash
# What the jobs share. A job runs inside the virtual machine, as /job/run.sh, and sets
# S to the folder of the case it is making.

say() { echo "[$(cut -d' ' -f1 /proc/uptime)] $*"; }

# Run a command line, keeping it in commands.sh and what it prints in log.txt. A failure
# is noted and the job goes on: some cases are about failures.
run() { # COMMAND LINE
    local line=$* status
    printf '%s\n' "$line" >>"$S/commands.sh"
    eval "$line" >>"$S/log.txt" 2>&1
    status=$?
    [ $status = 0 ] && return
    say "  rc=$status: $line"
    printf '# ^ rc=%s\n' $status >>"$S/commands.sh"
    return $status
}

# Keep stdout, stderr and exit code of a command as NAME.EXT, NAME.err and NAME.rc.
keep() { # NAME.EXT COMMAND...
    local file=$S/$1
    shift
    "$@" >"$file" 2>"${file%.*}.err"
    echo $? >"${file%.*}.rc"
}

# Keep what a read-only file system holds: every entry's attributes, every file's sha256 and
# what has extended attributes, as truth/ID.find.txt, truth/ID.sha256 and truth/ID.xattrs.
list_files() { # MOUNT-POINT OUT
    (cd "$1" && find . -printf '%y %m %U:%G %s %T@ %p -> %l\n' | sort -k6) >"$2.find.txt"
    (cd "$1" && find . -type f -print0 | sort -z | xargs -0 -r sha256sum) >"$2.sha256"
    (cd "$1" && getfattr -R -h -d -m - -e base64 . 2>/dev/null) >"$2.xattrs"
}
