// Which database this application is written for. It stands in the code, and in no variable of the environment: a swapped
// file of variables would swap it together with the address.
export const ASSERT_IDENTITY = `DO $holdfast$ BEGIN
  IF to_regproc('holdfast.assert_identity') IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'HF004', MESSAGE = 'acme/production was expected, and this database was never protected: it may be a new, empty or hand-made one';
  END IF;
  PERFORM holdfast.assert_identity('acme', 'production');
END $holdfast$`;
