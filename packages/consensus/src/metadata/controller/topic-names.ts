import type { MetadataImage } from '../image.ts'

/** The metadata log itself, which is no topic that anyone may make. */
export const CLUSTER_METADATA_TOPIC = '__cluster_metadata'

/** In characters. No topic has a longer name. */
export const MAX_TOPIC_NAME_LENGTH = 249
const LEGAL_NAME = /^[a-zA-Z0-9._-]+$/

/** Why a topic cannot have this name, or null. */
export function topicNameComplaint(name: string): string | null {
  if (name === '') return 'Topic name is invalid: it is empty'
  if (name === '.' || name === '..') return `Topic name is invalid: '${name}' is not allowed`
  if (name.length > MAX_TOPIC_NAME_LENGTH) {
    return `Topic name is invalid: it has ${name.length} characters, at most ${MAX_TOPIC_NAME_LENGTH} are allowed`
  }
  if (LEGAL_NAME.test(name)) return null
  return `Topic name is invalid: '${name}' has characters other than ASCII letters and digits, '.', '_' and '-'`
}

/** A period and an underscore are one in names of metrics, so two topics must not differ by these alone. */
export function hasCollisionCharacters(name: string): boolean {
  return name.includes('.') || name.includes('_')
}

/** Names that collide become equal. */
export function unifyCollisionCharacters(name: string): string {
  return name.replaceAll('.', '_')
}

/** Topics of an image whose names could collide with others, by unified name. One pass over all names. */
export function collisionIndex(image: MetadataImage): ReadonlyMap<string, string> {
  const index = new Map<string, string>()
  for (const name of image.topics.keys()) {
    if (hasCollisionCharacters(name)) index.set(unifyCollisionCharacters(name), name)
  }
  return index
}
