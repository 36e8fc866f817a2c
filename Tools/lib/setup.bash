# Sourced by the programs in Tools: checks the Swift toolchain and installs what the build needs.
# Quiet when there is nothing to do; never asks a question; says the remedy when it cannot go on.

readonly least_swift="6.2"

say() { printf '%s\n' "$*" >&2; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# True where something can be run as root.
can_be_root() { [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null 2>&1; }

# Runs a command as root, through sudo where this is somebody else.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# True when version $1 is at least version $2.
version_at_least() {
  [ "$(printf '%s\n%s\n' "$2" "$1" | sort --version-sort | head -n 1)" = "$2" ]
}

require_swift() {
  local remedy="install a toolchain from https://www.swift.org/install/linux/ and put its usr/bin in PATH"
  [ "$(uname -s)" = Linux ] || die "Varve runs on Linux only"
  command -v swift >/dev/null 2>&1 || die "no swift in PATH: $remedy"
  local found
  found=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9][0-9.]*\).*/\1/p' | head -n 1)
  [ -n "$found" ] || die "'swift --version' does not answer: $remedy"
  version_at_least "$found" "$least_swift" ||
    die "Swift $found is too old, $least_swift or later is needed: $remedy"
}

# True when every package named is installed. Elsewhere than on Debian nothing is known.
packages_present() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" = \
      installed ] || return 1
  done
}

# Installs Debian packages; refreshes the package lists only when the first try fails. Where nobody
# can be root it says nothing: the caller has the remedy.
install_packages() {
  command -v apt-get >/dev/null 2>&1 || {
    say "no apt-get here: install what your system calls $*"
    return 1
  }
  can_be_root || return 1
  say "installing $*"
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet
    --no-install-recommends -o DPkg::Lock::Timeout=300 "$@")
  as_root "${install[@]}" >/dev/null 2>&1 && return 0
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update --quiet >/dev/null || return 1
  as_root "${install[@]}" >/dev/null
}

# The toolchain, the two system libraries that the library links, and liburing: the tools have the
# package trait IOUring on.
set_up() {
  require_swift
  local packages=(libaio-dev liblz4-dev liburing-dev)
  if [ -e /usr/include/libaio.h ] && [ -e /usr/include/lz4.h ] && [ -e /usr/include/liburing.h ]
  then
    return 0
  fi
  packages_present "${packages[@]}" || install_packages "${packages[@]}" ||
    die "could not install ${packages[*]}; as root: apt-get install ${packages[*]}"
}
