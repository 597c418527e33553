package dev.holdfast.store.s3;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class S3LocationTest {
  @ParameterizedTest
  @CsvSource({
    "s3://acme, s3://acme, acme, ''",
    "s3://acme/, s3://acme, acme, ''",
    "S3://acme/holdfast, s3://acme/holdfast, acme, holdfast/",
    "s3://acme/a/b-c_1.d/, s3://acme/a/b-c_1.d, acme, a/b-c_1.d/",
    "s3://Old_Bucket.eu/x, s3://Old_Bucket.eu/x, Old_Bucket.eu, x/",
  })
  void bucket_and_prefix_are_read(String location, String text, String bucket, String prefix) {
    assertThat(S3Location.parse(location))
        .isEqualTo(new S3Location(text, bucket, prefix, null, true));
  }

  @Test
  void settings_are_read() {
    assertThat(S3Location.parse("s3://acme/p?pathStyle=false&conditionalWrites=false"))
        .isEqualTo(
            new S3Location(
                "s3://acme/p?pathStyle=false&conditionalWrites=false", "acme", "p/", false, false));
    assertThat(S3Location.parse("s3://acme?pathStyle=true").pathStyle()).isTrue();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "s3:acme",
        "s3:/acme",
        "s3://",
        "s3:///x",
        "s3://a",
        "s3://ac me",
        "s3://arn:aws:s3:eu-west-1:1:accesspoint/x",
        "s3://acme//x",
        "s3://acme/../x",
        "s3://acme/.hidden",
        "s3://acme/a b",
        "s3://acme/x?pathStyle",
        "s3://acme/x?pathStyle=yes",
        "s3://acme/x?",
        "s3://acme/x?region=eu-west-1",
        "s3://acme/x#y"
      })
  void what_names_no_bucket_is_refused(String location) {
    assertThatThrownBy(() -> S3Location.parse(location))
        .isInstanceOf(OperatorException.class)
        .hasMessageContaining("write s3://BUCKET/PREFIX")
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.USAGE);
  }

  @Test
  void the_message_says_what_is_wrong() {
    assertThatThrownBy(() -> S3Location.parse("s3://acme/a b"))
        .hasMessage(
            "cannot use the repository \"s3://acme/a b\": between the slashes of a prefix stand"
                + " letters, digits, dots, underscores and hyphens, and no dot comes first; next:"
                + " write s3://BUCKET/PREFIX, for example s3://acme-backups/holdfast; endpoint,"
                + " region and credentials come from AWS_ENDPOINT_URL, AWS_REGION, AWS_PROFILE and"
                + " the like");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "s3://AKIAEXAMPLE:hunter2@acme/x",
        "s3://acme/x?secretKey=hunter2",
        "s3://acme/x?accessKey=AKIAEXAMPLE&secretKey=hunter2"
      })
  void a_secret_in_a_location_is_refused_and_not_repeated(String location) {
    assertThatThrownBy(() -> S3Location.parse(location))
        .isInstanceOf(OperatorException.class)
        .hasMessageNotContaining("hunter2")
        .hasMessageNotContaining("AKIAEXAMPLE")
        .hasMessageContaining("credentials");
  }
}
