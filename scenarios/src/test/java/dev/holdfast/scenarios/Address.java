package dev.holdfast.scenarios;

/** Where a client finds its database, on this machine, as the owner of it, without a password. */
record Address(int port, String database, String user) {
  /** As libpq and the clients on Node read it. */
  String url() {
    return "postgresql://%s@127.0.0.1:%d/%s".formatted(user, port, database);
  }

  /** As pgjdbc reads it. */
  String jdbcUrl() {
    return "jdbc:postgresql://127.0.0.1:%d/%s?user=%s".formatted(port, database, user);
  }

  /** The same database behind another port. */
  Address behind(int otherPort) {
    return new Address(otherPort, database, user);
  }
}
