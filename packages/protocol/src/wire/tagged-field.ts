/**
 * A tagged field (KIP-482) that the schema does not know. Kept so that a proxy or a newer peer loses nothing. `data` is a view of the
 * decoded input: copy it to keep it longer than the frame.
 */
export interface TaggedField {
  readonly tag: number
  readonly data: Buffer
}

/**
 * Largest unknown tagged field accepted, in bytes (128 KiB): a message of many fields is bounded by its frame, and this bounds what one
 * field that nobody reads may pin. A known one has the bounds of the field itself, or what was written could not be read again.
 */
export const MAX_TAGGED_FIELD_BYTES = 128 * 1024

/** Largest string on the wire, in UTF-8 bytes: the int16 length of the legacy encoding, which Kafka keeps for the compact one too. */
export const MAX_STRING_BYTES = 0x7fff

/**
 * Largest name that is taken from strangers, in UTF-8 bytes: of topics, groups, members, transactions, settings. JavaScript hashes strings
 * above 16,383 characters by their length alone, so a map with such keys is a list that is searched from its start: a request of 220 kB held a
 * broker for 38 s. A key that is made of two names and some numbers stays below that.
 */
export const MAX_NAME_BYTES = 8000

/** Above every tag (uint32). */
export const END_OF_TAGS = 2 ** 32
