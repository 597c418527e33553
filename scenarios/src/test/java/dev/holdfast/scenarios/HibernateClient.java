package dev.holdfast.scenarios;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.classic.spi.IThrowableProxy;
import ch.qos.logback.classic.spi.ThrowableProxy;
import ch.qos.logback.core.read.ListAppender;
import jakarta.persistence.Column;
import jakarta.persistence.Entity;
import jakarta.persistence.Id;
import jakarta.persistence.Index;
import jakarta.persistence.JoinColumn;
import jakarta.persistence.ManyToOne;
import jakarta.persistence.Table;
import java.util.List;
import org.hibernate.SessionFactory;
import org.hibernate.annotations.OnDelete;
import org.hibernate.annotations.OnDeleteAction;
import org.hibernate.cfg.Configuration;
import org.jspecify.annotations.Nullable;
import org.slf4j.LoggerFactory;

/**
 * Hibernate, with its {@code hbm2ddl.auto}. Of what the database says while it makes a schema it
 * tells its log alone, and goes on: an application whose {@code create} was refused starts, with
 * its data as they were. It drops foreign keys before the tables, each for itself; {@code create}
 * makes them again, the others do not come to that.
 */
final class HibernateClient implements Client {
  private static final String ALL_USERS = PEOPLE + " rows of public.users";
  private static final String ALL_ORDERS = ORDERS + " rows of public.orders";
  private static final Act CREATE = Act.of("hbm2ddl.auto=create", ALL_USERS, ALL_ORDERS);
  private static final Act CREATE_AND_HALT =
      Act.of("hbm2ddl.auto=create, halting on errors", ALL_USERS, ALL_ORDERS)
          .droppingForeignKeysFirst();
  private static final Act CREATE_DROP =
      Act.of("hbm2ddl.auto=create-drop", "table public.users", "table public.orders")
          .droppingForeignKeysFirst();
  private static final Act DELETE = Act.of("delete from User", ALL_USERS, ALL_ORDERS);

  /** As the application's first version has it. */
  @Entity(name = "FirstUser")
  @Table(name = "users")
  static class FirstUser {
    @Id int id;

    @Column(nullable = false, columnDefinition = "text")
    @Nullable String name;

    @Column(columnDefinition = "text")
    @Nullable String email;
  }

  /** As it has it since. */
  @Entity(name = "User")
  @Table(name = "users")
  static class User {
    @Id int id;

    @Column(nullable = false, columnDefinition = "text")
    @Nullable String name;

    @Column(columnDefinition = "text")
    @Nullable String email;

    @Column(columnDefinition = "text")
    @Nullable String nickname;

    User() {}

    User(int id) {
      this.id = id;
      this.name = "person " + id;
      this.email = "person" + id + "@example.com";
    }
  }

  /** What users order. */
  @Entity(name = "Purchase")
  @Table(name = "orders", indexes = @Index(columnList = "user_id"))
  static class Order {
    @Id int id;

    @ManyToOne(optional = false)
    @JoinColumn(name = "user_id")
    @OnDelete(action = OnDeleteAction.CASCADE)
    @Nullable User user;

    int amount;

    Order() {}

    Order(int id, User user) {
      this.id = id;
      this.user = user;
      this.amount = 10 * id;
    }
  }

  @Override
  public String name() {
    return "hibernate";
  }

  @Override
  public List<Act> acts() {
    return List.of(CREATE, CREATE_AND_HALT, CREATE_DROP, DELETE);
  }

  @Override
  public Outcome ordinary(Address database) {
    return Outcome.ofDoing(() -> {
      configuration(database, "update", FirstUser.class).buildSessionFactory().close();
      try (SessionFactory sessions = application(database, "update").buildSessionFactory()) {
        sessions.inTransaction(session -> {
          for (int id = 1; id <= 2000; id++) {
            session.persist(new User(id));
          }
          for (int id = 1; id <= ORDERS; id++) {
            session.persist(new Order(id, session.find(User.class, id)));
          }
        });
        sessions.inTransaction(session -> {
          User again = new User(1);
          again.name = "person 1 again";
          session.merge(again);
          session.merge(new User(2001));
          session.find(User.class, 2).nickname = "two";
        });
        for (int id = 11; id <= 20; id++) {
          int leaving = id;
          sessions.inTransaction(session -> session.remove(session.find(User.class, leaving)));
        }
      }
      application(database, "validate").buildSessionFactory().close();
    });
  }

  @Override
  public Outcome commit(Act act, Address database) {
    if (act.equals(DELETE)) {
      return Outcome.ofDoing(() -> {
        try (SessionFactory sessions = application(database, "none").buildSessionFactory()) {
          sessions.inTransaction(
              session -> session.createMutationQuery("delete from User").executeUpdate());
        }
      });
    }
    Configuration application =
        application(database, act.equals(CREATE_DROP) ? "create-drop" : "create");
    if (act.equals(CREATE_AND_HALT)) {
      application.setProperty("hibernate.hbm2ddl.halt_on_error", true);
    }
    return withItsLog(() -> application.buildSessionFactory().close());
  }

  private static Configuration application(Address database, String hbm2ddl) {
    return configuration(database, hbm2ddl, User.class, Order.class);
  }

  private static Configuration configuration(
      Address database, String hbm2ddl, Class<?>... entities) {
    Configuration configuration =
        new Configuration()
            .setProperty("hibernate.connection.url", database.jdbcUrl())
            .setProperty("hibernate.hbm2ddl.auto", hbm2ddl)
            .setProperty("hibernate.jdbc.batch_size", "50");
    for (Class<?> entity : entities) {
      configuration.addAnnotatedClass(entity);
    }
    return configuration;
  }

  /** Where nothing was thrown, the first error that was logged. */
  private static Outcome withItsLog(Outcome.Work work) {
    Logger logger = (Logger) LoggerFactory.getLogger("org.hibernate");
    ListAppender<ILoggingEvent> said = new ListAppender<>();
    said.start();
    logger.addAppender(said);
    logger.setLevel(Level.WARN);
    logger.setAdditive(false);
    try {
      Outcome outcome = Outcome.ofDoing(work);
      return outcome instanceof Outcome.Failed
          ? outcome
          : said.list.stream()
              .map(ILoggingEvent::getThrowableProxy)
              .filter(ThrowableProxy.class::isInstance)
              .findFirst()
              .map(HibernateClient::failed)
              .orElse(outcome);
    } finally {
      logger.setLevel(null);
      logger.setAdditive(true);
      logger.detachAppender(said);
    }
  }

  private static Outcome failed(IThrowableProxy logged) {
    return Outcome.of(((ThrowableProxy) logged).getThrowable());
  }
}
