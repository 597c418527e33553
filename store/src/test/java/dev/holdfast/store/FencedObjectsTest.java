package dev.holdfast.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.store.objects.MemoryObjectStore;
import dev.holdfast.store.objects.ObjectStore;
import dev.holdfast.store.objects.ObjectWriter;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What writes is asked for, each time; and nothing takes a slower way for it. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class FencedObjectsTest {
  /** Everything else changes something, also what will be there one day. */
  private static final Set<String> READS =
      Set.of("location", "get", "list", "folders", "children", "exists");

  private record Call(String method, List<Class<?>> types, List<Object> arguments) {}

  private final List<Call> beneath = new ArrayList<>();
  private final ObjectStore storage = recording();

  private static List<Method> methods() {
    return Stream.of(ObjectStore.class.getMethods()).filter(each -> !each.isSynthetic()).toList();
  }

  private ObjectStore recording() {
    return (ObjectStore)
        Proxy.newProxyInstance(
            ObjectStore.class.getClassLoader(),
            new Class<?>[] {ObjectStore.class},
            (_, method, arguments) -> {
              beneath.add(call(method, arguments == null ? new Object[0] : arguments));
              return switch (method.getReturnType().getSimpleName()) {
                case "String" -> "answer";
                case "byte[]" -> new byte[] {7};
                case "List" -> List.of("answer");
                case "boolean" -> true;
                case "ObjectWriter" -> new Nowhere();
                default -> null;
              };
            });
  }

  private static Call call(Method method, Object[] arguments) {
    return new Call(
        method.getName(), Arrays.asList(method.getParameterTypes()), Arrays.asList(arguments));
  }

  private static final class Nowhere implements ObjectWriter {
    @Override
    public void write(byte[] bytes, int offset, int length) {}

    @Override
    public void commit() {}

    @Override
    public void close() {}
  }

  private static Lease lease() {
    LeaseCandidate candidate =
        new LeaseCandidate(
            new LeaseFolder(new MemoryObjectStore(), "leases/record/"),
            "record",
            "holdfast record acme",
            Duration.ofSeconds(30),
            () -> 0,
            () -> Instant.EPOCH);
    return Objects.requireNonNull(candidate.ask().lease());
  }

  private static Object[] arguments(Method method) {
    return Stream.of(method.getParameterTypes())
        .map(type ->
            switch (type.getSimpleName()) {
              case "String" -> (Object) "name";
              case "byte[]" -> new byte[] {1, 2, 3};
              case "int" -> 2;
              case "long" -> 1L;
              case "List" -> List.of("one", "two");
              default -> throw new IllegalStateException("unknown here: " + type);
            })
        .toArray();
  }

  @ParameterizedTest
  @MethodSource("methods")
  void what_is_asked_reaches_the_store_beneath_as_it_is(Method method) throws Exception {
    Object[] arguments = arguments(method);
    method.invoke(new FencedObjects(storage, lease()), arguments);
    assertThat(beneath).containsExactly(call(method, arguments));
  }

  @ParameterizedTest
  @MethodSource("methods")
  void without_the_lease_what_writes_is_refused_and_what_reads_is_not(Method method)
      throws Exception {
    Lease lease = lease();
    lease.close();
    ObjectStore fenced = new FencedObjects(storage, lease);
    Object[] arguments = arguments(method);
    if (READS.contains(method.getName())) {
      method.invoke(fenced, arguments);
      assertThat(beneath).hasSize(1);
    } else {
      assertThatThrownBy(() -> method.invoke(fenced, arguments))
          .isInstanceOf(InvocationTargetException.class)
          .hasCauseInstanceOf(LeaseLostException.class);
      assertThat(beneath).isEmpty();
    }
  }
}
