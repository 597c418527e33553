import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import com.zaxxer.hikari.pool.HikariPool.PoolInitializationException;

/** Connections to the database that this application is written for. */
final class Pool {
  // Here, and in no variable of the environment: a swapped file of variables would swap it together with the address.
  private static final String ASSERT_IDENTITY =
      """
      DO $holdfast$ BEGIN
        IF to_regproc('holdfast.assert_identity') IS NULL THEN
          RAISE EXCEPTION USING ERRCODE = 'HF004', MESSAGE = 'acme/production was expected, and this database was never protected: it may be a new, empty or hand-made one';
        END IF;
        PERFORM holdfast.assert_identity('acme', 'production');
      END $holdfast$""";

  private Pool() {}

  /**
   * Makes the first connection at once, since initializationFailTimeout is what it is by itself: 1. With 0 or less the pool
   * would be there without one.
   *
   * @throws PoolInitializationException when there is none, or when it leads to another database
   */
  static HikariDataSource open(String jdbcUrl) {
    HikariConfig config = new HikariConfig();
    config.setJdbcUrl(jdbcUrl);
    config.addDataSourceProperty("ApplicationName", "shop");
    config.setConnectionInitSql(ASSERT_IDENTITY); // for each new connection
    config.setConnectionTimeout(5_000);
    return new HikariDataSource(config);
  }
}
