package dev.holdfast.scenarios;

import java.util.List;

/**
 * A program of examples/.
 *
 * @param name as messages of the tests call it
 * @param jdbc whether its DATABASE_URL is read by pgjdbc, and by others not
 * @param command that starts it
 * @param commandWithMark the same, with {@code alive_within} said in its code
 */
record Application(String name, boolean jdbc, List<String> command, List<String> commandWithMark) {
  @Override
  public String toString() {
    return name;
  }
}
