package dev.holdfast.scenarios;

import java.sql.Connection;
import java.sql.DriverManager;
import java.util.List;
import java.util.Map;
import java.util.logging.Level;
import java.util.logging.Logger;
import liquibase.Scope;
import liquibase.UpdateSummaryEnum;
import liquibase.command.CommandScope;
import liquibase.database.Database;
import liquibase.database.DatabaseFactory;
import liquibase.database.jvm.JdbcConnection;
import liquibase.resource.ClassLoaderResourceAccessor;
import liquibase.ui.LoggerUIService;

/** Liquibase's change sets, and its {@code drop-all} and {@code rollback-count}. */
final class LiquibaseClient implements Client {
  private static final String CHANGE_LOG = "liquibase/changelog.sql";

  /** Kept, as loggers are forgotten with their settings when nobody holds them. */
  private static final Logger LOGGER = Logger.getLogger("liquibase");

  private static final Act DROP_ALL =
      Act.of(
          "drop-all",
          "table public.users",
          "table public.orders",
          "table public.databasechangelog",
          "table public.databasechangeloglock");
  private static final Act ROLLBACK =
      Act.of(
          "rollback-count 4",
          "table public.users",
          "table public.orders",
          "4 rows of public.databasechangelog");

  private static final Act ROLLBACK_OF_DATA =
      Act.of(
          "rollback-count 1",
          PEOPLE + " rows of public.users",
          ORDERS + " rows of public.orders",
          "1 rows of public.databasechangelog");

  LiquibaseClient() {
    LOGGER.setLevel(Level.OFF);
    System.setProperty("liquibase.analytics.enabled", "false"); // it would tell its makers
  }

  @Override
  public String name() {
    return "liquibase";
  }

  @Override
  public List<Act> acts() {
    return List.of(DROP_ALL, ROLLBACK, ROLLBACK_OF_DATA);
  }

  @Override
  public Outcome ordinary(Address database) {
    return Outcome.ofDoing(() -> {
      run(
          database,
          "updateCount",
          Map.of("changelogFile", CHANGE_LOG, "count", 1, "showSummary", UpdateSummaryEnum.OFF));
      run(
          database,
          "update",
          Map.of("changelogFile", CHANGE_LOG, "showSummary", UpdateSummaryEnum.OFF));
    });
  }

  @Override
  public Outcome commit(Act act, Address database) {
    return Outcome.ofDoing(() -> {
      if (act.equals(DROP_ALL)) {
        run(database, "dropAll", Map.of());
      } else {
        run(
            database,
            "rollbackCount",
            Map.of("changelogFile", CHANGE_LOG, "count", act.equals(ROLLBACK) ? 4 : 1));
      }
    });
  }

  private static void run(Address database, String name, Map<String, ?> arguments)
      throws Exception {
    Map<String, Object> scope =
        Map.of(
            Scope.Attr.resourceAccessor.name(), new ClassLoaderResourceAccessor(),
            Scope.Attr.ui.name(), new LoggerUIService());
    try (Connection connection = DriverManager.getConnection(database.jdbcUrl())) {
      Database its =
          DatabaseFactory.getInstance()
              .findCorrectDatabaseImplementation(new JdbcConnection(connection));
      CommandScope command = new CommandScope(name).addArgumentValue("database", its);
      arguments.forEach(command::addArgumentValue);
      Scope.child(
          scope,
          () -> {
            command.execute();
          });
    }
  }
}
