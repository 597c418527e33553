package dev.holdfast.scenarios;

/**
 * Where a client finds its database, on this machine, as the owner of it, without a password.
 *
 * @param permit code of a permit that its sessions are opened with; empty without one
 */
record Address(int port, String database, String user, String permit) {
  /** Of sessions without a permit. */
  Address(int port, String database, String user) {
    this(port, database, user, "");
  }

  /** As libpq and the clients on Node read it. */
  String url() {
    return "postgresql://%s@127.0.0.1:%d/%s%s"
        .formatted(user, port, database, permit.isEmpty() ? "" : "?" + options());
  }

  /** As pgjdbc reads it. */
  String jdbcUrl() {
    return "jdbc:postgresql://127.0.0.1:%d/%s?user=%s%s"
        .formatted(port, database, user, permit.isEmpty() ? "" : "&" + options());
  }

  private String options() {
    return "options=-c%20holdfast.permit%3D" + permit;
  }

  /** The same database behind another port. */
  Address behind(int otherPort) {
    return new Address(otherPort, database, user, permit);
  }

  /** The same for sessions that are opened with a permit, in their start-up options. */
  Address openedWith(String code) {
    return new Address(port, database, user, code);
  }
}
