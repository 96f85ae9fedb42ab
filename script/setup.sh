# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154 # top is set by who sources it
# Sourced by script/server and script/test: installs what is missing, fast when nothing is.
# Expects: $top (the checkout). Nothing is written outside the directory named to each function.

fail() {
	echo "kvmfaults: $*" >&2
	exit 1
}

# ensure_packages PACKAGE...: Debian packages, installed only where missing.
ensure_packages() {
	local package missing=()
	for package in "$@"; do
		dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed$' || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null || fail "this is no Debian or Ubuntu; install the equivalents of: ${missing[*]}"
	[ "$(id -u)" = 0 ] || fail "not root; first run: apt-get install ${missing[*]}"
	echo "kvmfaults: installing ${missing[*]} with apt-get, which may take a minute" >&2
	local output
	output=$(
		{
			apt-get update -qq &&
				DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
		} 2>&1 </dev/null
	) || fail "apt-get could not install ${missing[*]}: $(tail -n 3 <<<"$output")"
}

# mount_for_tracing: what collector and tests use of the kernel's file systems, where the system has not mounted it.
mount_for_tracing() {
	mountpoint -q /sys/kernel/tracing || mount -t tracefs nodev /sys/kernel/tracing 2>/dev/null || true
	# Without, counting ends with a collector that is killed. Closed: others could take the names in it first.
	mountpoint -q /sys/fs/bpf || mount -t bpf -o mode=700 bpf /sys/fs/bpf 2>/dev/null || true
}

# ensure_own_directory DIRECTORY: makes it, or sees that nobody else can put into it what is run or read from there.
ensure_own_directory() {
	local directory=$1
	(umask 077 && mkdir -p "$directory") || fail "cannot make the data directory $directory"
	[ -O "$directory" ] ||
		fail "$directory belongs to $(stat -c 'user %U' "$directory"): chown it, or give another --data-dir"
	[ -z "$(find -H "$directory" -maxdepth 0 -perm /022)" ] ||
		fail "others can write to $directory: look whether what is in it is yours, then chmod 700 it"
	chmod 700 "$directory"
}

# keep_byte_code DIRECTORY: where every Python from here on keeps what it has compiled, beside no source. Also where the
# environment asks for none to be written: each of many processes would compile all that it imports, the library too.
keep_byte_code() {
	export PYTHONPYCACHEPREFIX=$1
	unset PYTHONDONTWRITEBYTECODE
}

# find_python: a Python of at least 3.11, the distribution's first.
find_python() {
	local candidate
	for candidate in /usr/bin/python3 python3 python3.11 python3.12 python3.13; do
		if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
			command -v "$candidate"
			return
		fi
	done
	fail "Python 3.11 or newer is needed"
}

# uv_options PIP: how uv finds what pip would find, one option a line: uv does not read pip's configuration. Fails where
# pip is configured in a way that uv may not follow.
uv_options() {
	local configured key value part option index='' certs=''
	configured=$("$1" config list) || return
	while IFS='=' read -r key value; do
		# A value is quoted, and has \n between several.
		value=${value:1:-1}
		case ${key##*.} in
		index-url)
			[ -z "$index" ] || [ "$index" = "$value" ] || return
			index=$value
			;;
		extra-index-url | find-links | constraint)
			option=${key##*.}
			[ "$option" != extra-index-url ] || option=index
			for part in ${value//\\n/ }; do
				printf '%s\n' "--$option" "$part"
			done
			;;
		cert)
			[ "$value" = /etc/ssl/certs/ca-certificates.crt ] || return
			certs=--system-certs
			;;
		cache-dir | config-file | timeout | default-timeout | disable-pip-version-check | no-color | no-input | \
			progress-bar | quiet | root-user-action) ;;
		*) [ -z "$key" ] || return ;;
		esac
	done <<<"$configured"
	[ -z "$index" ] || printf '%s\n' --default-index "$index"
	[ -z "$certs" ] || printf '%s\n' "$certs"
}

# install_packages VENV PACKAGE: this checkout with its pinned dependencies. uv does in five seconds what takes pip a
# minute and more of processor time.
install_packages() {
	# Byte code is made of what is imported, when it is: of all that is installed it takes ten seconds.
	local found options=() pip=("$1/bin/pip" install -qq --disable-pip-version-check --no-compile -c "$top/constraints.txt")
	if found=$(uv_options "$1/bin/pip") && "${pip[@]}" --retries 1 uv 2>/dev/null; then
		mapfile -t options <<<"$found"
		[ -n "$found" ] || options=()
		"$1/bin/uv" pip install -q --no-config --index-strategy unsafe-best-match "${options[@]}" \
			--python "$1/bin/python" -c "$top/constraints.txt" -e "$2" && return
		echo "kvmfaults: uv could not install the dependencies; pip is tried" >&2
	fi
	"${pip[@]}" --retries 2 -e "$2" ||
		fail "the dependencies cannot be installed, see above. Without a way to PyPI, name an index that can be reached:" \
			"PIP_INDEX_URL=https://mirror.example/simple $0"
}

# ensure_venv DIRECTORY EXTRAS: a virtual environment that runs this checkout, with the pinned dependencies.
ensure_venv() {
	local venv=$1 extras=$2 python stamp
	python=$(find_python)
	stamp=$(cat "$top/pyproject.toml" "$top/constraints.txt" <(echo "$top $extras $python") | sha256sum | cut -c1-16)
	if [ ! -e "$venv/complete-$stamp" ]; then
		echo "kvmfaults: making a virtual environment in $venv, which may take a minute, once" >&2
		rm -rf "$venv"
		"$python" -m venv "$venv" || fail "cannot make a virtual environment; install python3-venv"
		install_packages "$venv" "${top}[$extras]"
		touch "$venv/complete-$stamp"
	fi
	# Only bcc of the distribution's Python packages: the others could shadow the pinned ones.
	if [ -d /usr/lib/python3/dist-packages/bcc ]; then
		ln -sfn /usr/lib/python3/dist-packages/bcc "$(echo "$venv"/lib/python3.*/site-packages)/bcc"
	fi
}
