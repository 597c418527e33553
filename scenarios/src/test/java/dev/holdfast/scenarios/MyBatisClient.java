package dev.holdfast.scenarios;

import java.util.List;
import org.apache.ibatis.annotations.Delete;
import org.apache.ibatis.annotations.Insert;
import org.apache.ibatis.annotations.Param;
import org.apache.ibatis.annotations.Select;
import org.apache.ibatis.annotations.Update;
import org.apache.ibatis.datasource.unpooled.UnpooledDataSource;
import org.apache.ibatis.mapping.Environment;
import org.apache.ibatis.session.Configuration;
import org.apache.ibatis.session.ExecutorType;
import org.apache.ibatis.session.SqlSession;
import org.apache.ibatis.session.SqlSessionFactory;
import org.apache.ibatis.session.SqlSessionFactoryBuilder;
import org.apache.ibatis.transaction.jdbc.JdbcTransactionFactory;
import org.jspecify.annotations.Nullable;

/** MyBatis: SQL that people write, with conditions that are left out when nothing is asked for. */
final class MyBatisClient implements Client {
  private static final Act DELETE =
      Act.of(
          "delete whose condition is left out",
          PEOPLE + " rows of public.users",
          ORDERS + " rows of public.orders");
  private static final Act UPDATE =
      Act.of("update whose condition is left out", "values of public.users.email");
  private static final Act TRUNCATE = Act.of("TRUNCATE", ORDERS + " rows of public.orders");

  /** The application's statements. */
  interface Shop {
    @Update("CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, email text)")
    void createUsers();

    @Update("ALTER TABLE users ADD COLUMN nickname text")
    void addNickname();

    @Update(
        "CREATE TABLE orders (id int PRIMARY KEY, amount int,"
            + " user_id int NOT NULL REFERENCES users ON DELETE CASCADE)")
    void createOrders();

    @Update("CREATE INDEX orders_user ON orders (user_id)")
    void indexOrders();

    @Insert("INSERT INTO users (id, name, email) VALUES (#{id}, #{name}, #{email})")
    void insertUser(@Param("id") int id, @Param("name") String name, @Param("email") String email);

    @Insert("INSERT INTO orders (id, user_id, amount) VALUES (#{id}, #{user}, #{amount})")
    void insertOrder(@Param("id") int id, @Param("user") int user, @Param("amount") int amount);

    @Insert(
        "INSERT INTO users (id, name) VALUES (#{id}, #{name})"
            + " ON CONFLICT (id) DO UPDATE SET name = excluded.name")
    void upsertUser(@Param("id") int id, @Param("name") String name);

    @Select("SELECT name FROM users WHERE id = #{id}")
    String name(int id);

    @Delete(
        "<script>DELETE FROM users <where><if test='id != null'>id = #{id}</if></where></script>")
    int delete(@Param("id") @Nullable Integer id);

    @Update(
        "<script>UPDATE users SET email = #{email}"
            + " <where><if test='id != null'>id = #{id}</if></where></script>")
    int changeEmail(@Param("id") @Nullable Integer id, @Param("email") String email);

    @Update("TRUNCATE orders")
    void truncateOrders();
  }

  @Override
  public String name() {
    return "mybatis";
  }

  @Override
  public List<Act> acts() {
    return List.of(DELETE, UPDATE, TRUNCATE);
  }

  @Override
  public Outcome ordinary(Address database) {
    return Outcome.ofDoing(() -> {
      try (SqlSession session = sessions(database).openSession()) {
        Shop shop = session.getMapper(Shop.class);
        shop.createUsers();
        session.commit();
        shop.addNickname();
        shop.createOrders();
        shop.indexOrders();
        session.commit();
      }
      try (SqlSession session = sessions(database).openSession(ExecutorType.BATCH)) {
        Shop shop = session.getMapper(Shop.class);
        for (int id = 1; id <= 2000; id++) {
          shop.insertUser(id, "person " + id, "person" + id + "@example.com");
        }
        for (int id = 1; id <= ORDERS; id++) {
          shop.insertOrder(id, id, 10 * id);
        }
        session.commit();
      }
      try (SqlSession session = sessions(database).openSession(true)) {
        Shop shop = session.getMapper(Shop.class);
        shop.upsertUser(1, shop.name(1) + " again");
        shop.upsertUser(2001, "person 2001");
        shop.changeEmail(2, "two@example.com");
        for (int id = 11; id <= 20; id++) {
          shop.delete(id);
        }
      }
    });
  }

  @Override
  public Outcome commit(Act act, Address database) {
    return Outcome.ofDoing(() -> {
      try (SqlSession session = sessions(database).openSession()) {
        Shop shop = session.getMapper(Shop.class);
        if (act.equals(DELETE)) {
          shop.delete(null);
        } else if (act.equals(UPDATE)) {
          shop.changeEmail(null, "nobody@example.com");
        } else {
          shop.truncateOrders();
        }
        session.commit();
      }
    });
  }

  private static SqlSessionFactory sessions(Address database) {
    Configuration configuration =
        new Configuration(
            new Environment(
                "shop",
                new JdbcTransactionFactory(),
                new UnpooledDataSource("org.postgresql.Driver", database.jdbcUrl(), null, null)));
    configuration.addMapper(Shop.class);
    return new SqlSessionFactoryBuilder().build(configuration);
  }
}
