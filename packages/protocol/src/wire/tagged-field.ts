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

/** Above every tag (uint32). */
export const END_OF_TAGS = 2 ** 32
