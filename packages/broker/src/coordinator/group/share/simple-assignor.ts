import type { Uuid } from '@millrace/base'
import { type Assignment, isSameAssignment, toAssignment } from '../modern/assignment.ts'

export const SIMPLE_ASSIGNOR = 'simple'

/** A member of a share group as the assignor sees it. */
export interface ShareAssignorMember {
  readonly memberId: string
  /** Topics that it subscribes to and that exist. Members with the same subscription may share one set. */
  readonly topicIds: ReadonlySet<Uuid>
  /** Its target before: what it should keep if that is fair. */
  readonly previous: Assignment
}

/** A partition that can be assigned. */
interface Place {
  readonly topicId: Uuid
  readonly partition: number
  /** How many members have it. */
  sharerCount: number
}

/** A member while the assignment is made. */
interface Draft {
  readonly member: ShareAssignorMember
  readonly places: Set<Place>
}

/**
 * Kafka's assignor of share groups (KIP-932): every partition goes to a member, every member has one if there are any, and where there are
 * more members than partitions several share one. Who has something keeps it where that is fair. `assignable`: the partitions that may be
 * consumed, by topic. Gives an assignment for each member, the very object of before where nothing changed.
 */
export function assignSimply(
  members: readonly ShareAssignorMember[],
  assignable: ReadonlyMap<Uuid, readonly number[]>,
): Map<string, Assignment> {
  const drafts = members.map((member) => ({ member, places: new Set<Place>() }))
  if (isHomogeneous(members)) {
    const topicIds = members[0]?.topicIds ?? new Set()
    share(
      drafts,
      [...assignable].flatMap((entry) => (topicIds.has(entry[0]) ? placesOf(entry) : [])),
    )
  } else {
    for (const entry of assignable) {
      const subscribers = drafts.filter(({ member }) => member.topicIds.has(entry[0]))
      share(subscribers, placesOf(entry))
    }
  }
  return new Map(drafts.map((draft) => [draft.member.memberId, finish(draft)]))
}

function placesOf([topicId, partitions]: readonly [Uuid, readonly number[]]): Place[] {
  return partitions.map((partition) => ({ topicId, partition, sharerCount: 0 }))
}

/** Whether all subscribe to the same. Members nearly always share one set. */
function isHomogeneous(members: readonly ShareAssignorMember[]): boolean {
  const first = members[0]?.topicIds
  return members.every(
    ({ topicIds }) =>
      topicIds === first || (topicIds.size === first!.size && [...topicIds].every((id) => first!.has(id))),
  )
}

/** Shares partitions among members who all may have them. */
function share(drafts: readonly Draft[], places: readonly Place[]): void {
  const memberCount = drafts.length
  const placeCount = places.length
  if (memberCount === 0 || placeCount === 0) return
  const sharing = Math.ceil(memberCount / placeCount)
  const total = sharing * placeCount
  const byTopic = indexOf(places)
  // As many for each as for all others, give or take one.
  const wanted = drafts.map(
    (_, slot) => Math.ceil((total * (slot + 1)) / memberCount) - Math.ceil((total * slot) / memberCount),
  )
  const had = new Map<Draft, number>(drafts.map((draft) => [draft, draft.places.size]))
  const countOf = (draft: Draft): number => draft.places.size - had.get(draft)!
  for (const [slot, draft] of drafts.entries()) keep(draft, byTopic, wanted[slot]!, sharing, countOf)
  fill(drafts, places, wanted, sharing, countOf)
  // What the round could not place, since whoever had room had it already.
  for (const place of places)
    if (place.sharerCount === 0)
      give(
        leastOf(drafts, (draft) => countOf(draft)),
        place,
      )
  for (const draft of drafts) {
    if (countOf(draft) === 0)
      give(
        draft,
        leastOf(places, ({ sharerCount }) => sharerCount),
      )
  }
}

function keep(
  draft: Draft,
  byTopic: ReadonlyMap<Uuid, ReadonlyMap<number, Place>>,
  wantedCount: number,
  sharing: number,
  countOf: (draft: Draft) => number,
): void {
  for (const [topicId, partitions] of draft.member.previous) {
    const places = byTopic.get(topicId)
    if (places === undefined) continue
    for (const partition of partitions) {
      if (countOf(draft) >= wantedCount) return
      const place = places.get(partition)
      if (place !== undefined && place.sharerCount < sharing) give(draft, place)
    }
  }
}

/** Gives what has room for sharers to members that want more, round and round. */
function fill(
  drafts: readonly Draft[],
  places: readonly Place[],
  wanted: readonly number[],
  sharing: number,
  countOf: (draft: Draft) => number,
): void {
  const open = places.filter(({ sharerCount }) => sharerCount < sharing)
  let next = 0
  for (const [slot, draft] of drafts.entries()) {
    // Once around for each member is enough: what it passes over is full, or its own.
    for (let tries = open.length; tries > 0 && countOf(draft) < wanted[slot]!; tries--) {
      const place = open[next % open.length]!
      next++
      if (place.sharerCount < sharing && !draft.places.has(place)) give(draft, place)
    }
  }
}

function give(draft: Draft, place: Place): void {
  draft.places.add(place)
  place.sharerCount++
}

function indexOf(places: readonly Place[]): Map<Uuid, Map<number, Place>> {
  const byTopic = new Map<Uuid, Map<number, Place>>()
  for (const place of places) {
    let ofTopic = byTopic.get(place.topicId)
    if (ofTopic === undefined) {
      ofTopic = new Map()
      byTopic.set(place.topicId, ofTopic)
    }
    ofTopic.set(place.partition, place)
  }
  return byTopic
}

function leastOf<Item>(items: readonly Item[], countOf: (item: Item) => number): Item {
  return items.reduce((least, item) => (countOf(item) < countOf(least) ? item : least))
}

function finish({ member, places }: Draft): Assignment {
  const partitions = new Map<Uuid, number[]>()
  for (const { topicId, partition } of places) {
    const list = partitions.get(topicId)
    if (list === undefined) partitions.set(topicId, [partition])
    else list.push(partition)
  }
  const assignment = toAssignment(
    Array.from(partitions, ([topicId, list]) => ({ topicId, partitions: list.sort((a, b) => a - b) })),
  )
  return isSameAssignment(assignment, member.previous) ? member.previous : assignment
}
