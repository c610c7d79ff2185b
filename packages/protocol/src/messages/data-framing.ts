import { MalformedMessageError } from '../wire/malformed-message-error.ts'
import type { Reader } from '../wire/reader.ts'
import type { Writer } from '../wire/writer.ts'
import type { DataDefinition } from './data-definition.ts'

/** The only frame version there is of metadata records. */
const METADATA_FRAME_VERSION = 1

/**
 * Writes the message as Kafka stores it, with the numbers before it that tell what it is. Metadata and remote log records: unsigned
 * varints 1, key, version. Coordinator keys: int16 key. Coordinator values and the consumer protocol: int16 version. Others: none.
 */
export function encodeFramed<Message>(
  writer: Writer,
  definition: DataDefinition<Message>,
  message: Message,
  version: number,
): void {
  switch (definition.framing) {
    case 'metadata':
      writer.unsignedVarint(METADATA_FRAME_VERSION)
      writer.unsignedVarint(definition.key)
      writer.unsignedVarint(version)
      break
    case 'key':
      writer.int16(definition.key)
      break
    case 'version':
      writer.int16(version)
      break
    case 'none':
      break
  }
  definition.encode(writer, message, version)
}

/** Reads the numbers before a metadata or remote log record. Throws `MalformedMessageError` for a frame version we do not know. */
export function readMetadataFrame(reader: Reader): { readonly key: number; readonly version: number } {
  const frameVersion = reader.unsignedVarint()
  if (frameVersion !== METADATA_FRAME_VERSION) throw new MalformedMessageError(`frame version ${frameVersion}`)
  return { key: reader.unsignedVarint(), version: reader.unsignedVarint() }
}
