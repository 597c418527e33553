package dev.holdfast.guard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.OperatorException;
import java.util.List;
import org.junit.jupiter.api.Test;

class SqlScriptTest {
  private static List<String> statements(String text) {
    return SqlScript.parse(text).statements().stream().map(SqlScript.Statement::text).toList();
  }

  @Test
  void statements_end_at_semicolons_outside_of_quotes_comments_and_bodies() {
    assertThat(
            statements(
                """
                -- first; a comment
                INSERT INTO t VALUES ('a;b', E'c\\';d', "e;f", $$ g;h $$, $x$ $$;$$ $x$);
                /* ; /* nested; */ ; */ DO $body$ BEGIN PERFORM 1; END $body$;;
                SELECT 1
                """))
        .containsExactly(
            "INSERT INTO t VALUES ('a;b', E'c\\';d', \"e;f\", $$ g;h $$, $x$ $$;$$ $x$)",
            "DO $body$ BEGIN PERFORM 1; END $body$",
            "SELECT 1");
  }

  @Test
  void a_function_body_in_sql_is_one_statement() {
    String function =
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END";
    assertThat(statements(function + "; SELECT 3")).containsExactly(function, "SELECT 3");
  }

  @Test
  void statements_know_their_lines() {
    assertThat(SqlScript.parse("SELECT 1;\n\n-- x\nSELECT\n2;SELECT 3").statements())
        .extracting(SqlScript.Statement::line)
        .containsExactly(1, 4, 5);
  }

  @Test
  void what_would_end_the_transaction_is_refused_with_its_line() {
    for (String end :
        new String[] {
          "BEGIN",
          "commit",
          "END",
          "ROLLBACK",
          "ABORT",
          "START TRANSACTION",
          "PREPARE TRANSACTION 'x'",
          "ROLLBACK PREPARED 'x'",
          "/* a */ COMMIT AND CHAIN"
        }) {
      assertThatThrownBy(() -> SqlScript.parse("SELECT 1;\n" + end + ";\n"))
          .as(end)
          .isInstanceOf(OperatorException.class)
          .hasMessageContaining("line 2: ");
    }
    assertThat(
            statements(
                "SAVEPOINT a; ROLLBACK TO a; ROLLBACK WORK TO SAVEPOINT a; RELEASE a; PREPARE p AS SELECT 1"))
        .hasSize(5);
  }

  @Test
  void what_is_psqls_is_refused_by_name() {
    assertThatThrownBy(() -> SqlScript.parse("SELECT 1;\n\\c production\n"))
        .hasMessageContaining("line 2: \"\\c production\" is a command of psql, not SQL");
    assertThatThrownBy(() -> SqlScript.parse("COPY t FROM STDIN;\n1\n\\.\n"))
        .hasMessageContaining("line 1: COPY with rows that the client gives");
    assertThat(statements("SELECT '\\c', E'\\\\x' -- \\i file")).hasSize(1);
  }

  @Test
  void a_quote_that_is_never_closed_is_refused_where_it_begins() {
    assertThatThrownBy(() -> SqlScript.parse("SELECT 1;\nSELECT 'abc;\nSELECT 2;"))
        .hasMessageContaining("line 2: a quote or comment that begins there is never closed");
    assertThatThrownBy(() -> SqlScript.parse("\n -- nothing\n"))
        .hasMessageContaining("there is no statement in it");
  }
}
