package dev.holdfast.scenarios;

import java.util.List;

/**
 * A program or library that people use PostgreSQL with. Its ordinary work, on an empty database:
 * make a schema, migrate it forward (a column, a table, an index), read, write in bulk, upsert,
 * delete one by one; whatever the client, {@link #PEOPLE} rows of {@code public.users} and {@link
 * #ORDERS} of {@code public.orders} are there afterwards.
 */
interface Client {
  int PEOPLE = 1991;
  int ORDERS = 3;

  /** As messages of the tests call it. */
  String name();

  /** What it can destroy, when its ordinary work is done. */
  List<Act> acts();

  /** Does its ordinary work. */
  Outcome ordinary(Address database);

  /** Destroys, or tries to. */
  Outcome commit(Act act, Address database);
}
