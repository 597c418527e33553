package shop;

import java.sql.Connection;
import java.sql.SQLException;
import javax.sql.DataSource;
import org.springframework.context.annotation.Lazy;
import org.springframework.stereotype.Component;

/**
 * Makes the pool's first connection before the port is open: by itself HikariCP waits for the first query, which may
 * come hours after the start.
 */
@Component
@Lazy(false)
class ExpectedDatabase {
  ExpectedDatabase(DataSource pool) throws SQLException {
    try (Connection connection = pool.getConnection()) {
      connection.isValid(5);
    }
  }
}
