package shop;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.jdbc.core.simple.JdbcClient;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** The rest of the application. */
@SpringBootApplication
@RestController
class Shop {
  private final JdbcClient database;

  Shop(JdbcClient database) {
    this.database = database;
  }

  @GetMapping("/")
  String users() {
    return database.sql("SELECT count(*) FROM users").query(Long.class).single() + " users\n";
  }

  public static void main(String[] arguments) {
    SpringApplication.run(Shop.class, arguments);
  }
}
