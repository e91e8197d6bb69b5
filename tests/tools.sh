#!/bin/sh
# Installs what the tests need beyond Python: Chromium and fonts, SpamAssassin and two npm packages for the mail's look,
# PHP and curl for the examples.
# What cannot be installed is named with the tests that are skipped without it; the exit code is then 1.
set -u
cd "$(dirname "$0")" || exit 1

fonts="fonts-noto-core fonts-noto-cjk fonts-noto-color-emoji"
exit_code=0

has() {
    command -v "$1" >/dev/null 2>&1
}

has_browser() {
    [ -n "${CHROMIUM:-}" ] || has chromium || has chromium-browser || has google-chrome
}

missing_packages() {
    has_browser || echo chromium
    has spamassassin || echo spamassassin
    has php || echo php-cli
    has curl || echo curl
    for font in $fonts; do
        dpkg -s "$font" >/dev/null 2>&1 || echo "$font"
    done
}

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::http::Timeout=20 "$@" >/dev/null 2>&1
}

install() {
    apt install -y --no-install-recommends "$@"
}

skipped() {
    echo "tests/$1 will be skipped: $2"
    exit_code=1
}

if has apt-get && [ "$(id -u)" -eq 0 ]; then
    packages=$(missing_packages)
    # The package lists may be absent or old, a mirror may fail once, and not every system has every package.
    # shellcheck disable=SC2086 # one word a package
    if [ -n "$packages" ] && ! install $packages; then
        apt update || apt update
        install $packages || for package in $packages; do install "$package"; done
    fi
fi
has_browser || skipped test_browser.py "no Chromium (Debian: apt-get install chromium $fonts; or set CHROMIUM to its path)"
has spamassassin || skipped test_spam.py "no SpamAssassin (Debian: apt-get install spamassassin)"
has php || skipped "test_examples.py for PHP" "no PHP (Debian: apt-get install php-cli)"
has curl || skipped "test_examples.py for curl" "no curl (Debian: apt-get install curl)"
has node || skipped "test_examples.py for JavaScript" "no Node.js (install 20.19 or later)"

if ! has npm; then
    skipped "test_browser.py and tests/test_clients.py" "no npm (install Node.js 20.19 or later)"
elif ! npm ci --ignore-scripts --no-audit --no-fund --loglevel=error; then
    skipped "test_browser.py and tests/test_clients.py" "npm ci failed"
fi
exit $exit_code
