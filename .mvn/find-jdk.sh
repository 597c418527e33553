# Sourced by ./holdfast and ./mvnw. Points JAVA_HOME at a JDK of the major version the project is built for,
# whatever the default `java` is; says what to install when there is none.

HOLDFAST_JAVA_MAJOR=25

is_wanted_jdk() {
  [ -x "$1/bin/javac" ] && [ -r "$1/release" ] &&
    grep -q "^JAVA_VERSION=\"$HOLDFAST_JAVA_MAJOR[.\"+-]" "$1/release"
}

find_jdk() {
  if [ -n "${JAVA_HOME:-}" ] && is_wanted_jdk "$JAVA_HOME"; then return 0; fi
  for candidate in /usr/lib/jvm/* /usr/java/* /opt/java/* /opt/jdk* "$HOME"/.sdkman/candidates/java/* \
    "$HOME"/.jdks/* /Library/Java/JavaVirtualMachines/*/Contents/Home \
    /opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home; do
    if is_wanted_jdk "$candidate"; then
      JAVA_HOME=$candidate
      export JAVA_HOME
      return 0
    fi
  done
  if default_javac=$(command -v javac); then
    candidate=$(dirname "$(dirname "$(readlink -f "$default_javac")")")
    if is_wanted_jdk "$candidate"; then
      JAVA_HOME=$candidate
      export JAVA_HOME
      return 0
    fi
  fi
  echo "error: no JDK $HOLDFAST_JAVA_MAJOR found (looked in JAVA_HOME and the usual folders, such as /usr/lib/jvm)" >&2
  echo "  next: install one (Debian: apt-get install temurin-$HOLDFAST_JAVA_MAJOR-jdk or openjdk-$HOLDFAST_JAVA_MAJOR-jdk; macOS: brew install openjdk@$HOLDFAST_JAVA_MAJOR)," >&2
  echo "        or point JAVA_HOME at it, and run the same command again" >&2
  return 1
}
