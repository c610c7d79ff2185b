export * from './crc32c/crc32c.ts'
export * from './murmur2/murmur2.ts'
