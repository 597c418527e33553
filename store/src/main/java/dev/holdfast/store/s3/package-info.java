/**
 * Objects in a bucket that speaks S3.
 *
 * <p>Lives here: Amazon's SDK and everything that buckets and their many makers do and do not do;
 * no other package may know it. For {@code dev.holdfast.store} only; may use {@code store.objects},
 * {@code dev.holdfast.failure} and the SDK.
 */
@NullMarked
package dev.holdfast.store.s3;

import org.jspecify.annotations.NullMarked;
