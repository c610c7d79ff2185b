import type { ClassicGroup } from './classic-group.ts'
import type { ConsumerGroup } from './consumer/consumer-group.ts'
import type { ShareGroup } from './share/share-group.ts'

/** A group of any kind. */
export type Group = ClassicGroup | ConsumerGroup | ShareGroup
