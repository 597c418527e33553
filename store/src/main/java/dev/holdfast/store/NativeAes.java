package dev.holdfast.store;

import java.security.NoSuchAlgorithmException;
import java.security.Provider;
import java.security.Security;
import org.conscrypt.Conscrypt;
import org.jspecify.annotations.Nullable;

/**
 * AES-GCM by BoringSSL, of which Tink's makers recommend it. The JDK's is as fast once its compiler
 * has come to it, and fifty times slower until then: most commands are over by that time, and a
 * fork runs without that compiler (docs/decisions/0013). Nothing else of Conscrypt is offered to
 * anybody: TLS stays the JDK's.
 */
final class NativeAes extends Provider {
  private static final long serialVersionUID = 1L;
  private static final String NAME = "HoldfastAesGcm";
  private static final String CIPHER = "Cipher";
  private static final String AES_GCM = "AES/GCM/NoPadding";

  private NativeAes(Provider.Service conscrypts) {
    super(NAME, "1", "AES-GCM by Conscrypt");
    putService(
        new Provider.Service(this, CIPHER, AES_GCM, conscrypts.getClassName(), null, null) {
          @Override
          public Object newInstance(@Nullable Object parameter) throws NoSuchAlgorithmException {
            return conscrypts.newInstance(parameter);
          }
        });
  }

  /** From now on AES-GCM is BoringSSL's, where there is one for this machine. */
  static void install() {
    try {
      Provider.Service service = Conscrypt.newProvider().getService(CIPHER, AES_GCM);
      if (service != null) {
        Security.insertProviderAt(new NativeAes(service), 1);
      }
    } catch (UnsatisfiedLinkError | NoClassDefFoundError e) {
      return; // the JDK's own does the same
    }
  }
}
