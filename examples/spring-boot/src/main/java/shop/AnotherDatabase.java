package shop;

import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;
import org.springframework.boot.diagnostics.AbstractFailureAnalyzer;
import org.springframework.boot.diagnostics.FailureAnalysis;

/** Has Spring Boot say, instead of a stack trace, what was expected and what is there. */
class AnotherDatabase extends AbstractFailureAnalyzer<PSQLException> {
  @Override
  protected FailureAnalysis analyze(Throwable failure, PSQLException cause) {
    ServerErrorMessage said = cause.getServerErrorMessage();
    if (said == null || !"HF004".equals(said.getSQLState())) {
      return null;
    }
    return new FailureAnalysis(said.getMessage(), said.getHint(), cause);
  }
}
