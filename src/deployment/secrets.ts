/** A secret of an environment: one file `secrets/<environment>/<name>`, never in git, never in an answer. */
export interface Secret {
  name: string;
  purpose: string;
  /**
   * `random`: made where it is missing, 256 bits in the URL-safe base64 alphabet, which survives URLs, SQL, `%NAME%`
   * placeholders and sed alike. `provided`: only the user can know it; starts as an empty file or a commented list.
   */
  origin: 'random' | 'provided';
  /** Nothing waits for it: it may stay empty. */
  optional?: boolean;
}

/** Bytes of entropy in a random secret. */
export const SECRET_BYTES = 32;
