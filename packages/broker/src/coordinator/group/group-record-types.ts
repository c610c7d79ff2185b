import type { GroupRecord } from './group-record.ts'

type TypeName = GroupRecord['type']

/** Types of the records of `__consumer_offsets`, which stand as a version before the key (`coordinators.md`, 3.9). */
export const GROUP_RECORD_TYPES: Readonly<Record<TypeName, number>> = {
  'offset-commit': 1,
  'group-metadata': 2,
  'consumer-group': 3,
  'consumer-partitions': 4,
  'consumer-member': 5,
  'consumer-targets': 6,
  'consumer-target': 7,
  'consumer-current': 8,
  'share-member': 10,
  'share-group': 11,
  'share-targets': 12,
  'share-target': 13,
  'share-current': 14,
  'share-partitions': 15,
  'consumer-regex': 16,
}

/** Offsets as Kafka wrote them first: the key is the same but for its type. */
const LEGACY_OFFSET_COMMIT = 0

const NAMES = new Map(Object.entries(GROUP_RECORD_TYPES).map(([name, type]) => [type, name as TypeName]))
NAMES.set(LEGACY_OFFSET_COMMIT, 'offset-commit')

/** Undefined: a type that this coordinator does not know. */
export function groupRecordTypeOf(type: number): TypeName | undefined {
  return NAMES.get(type)
}
