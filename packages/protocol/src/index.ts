export * from './api/index.ts'
export * from './compression/codec.ts'
export * from './compression/codec-table.ts'
export * from './compression/compress.ts'
export * from './crc32c/crc32c.ts'
export * from './errors/index.ts'
export * from './headers/index.ts'
export * from './messages/index.generated.ts'
export * from './murmur2/murmur2.ts'
export * from './records/batch-builder.ts'
export * from './records/batch-cursor.ts'
export * from './records/batch-header.ts'
export * from './records/control-record.ts'
export * from './records/corrupt-batch-error.ts'
export * from './records/inspect-records.ts'
export {
  encodeMessageSet,
  type LegacyMessage,
  legacyCodecOf,
  legacyCrcOf,
  legacyHasLogAppendTime,
} from './records/legacy-message.ts'
export * from './records/produce-validation.ts'
export * from './records/record-reader.ts'
export * from './records/validate-produce-batch.ts'
export * from './scram/scram-client.ts'
export * from './scram/scram-credential.ts'
export * from './scram/scram-error.ts'
export {
  parseClientFinal,
  parseClientFirst,
  parseServerFinal,
  parseServerFirst,
  scramAuthMessage,
} from './scram/scram-messages.ts'
export * from './scram/scram-server.ts'
export * from './wire/index.ts'
