/** One assignment protocol that a member supports, in the order of its preference. The metadata is the group's own copy. */
export interface MemberProtocol {
  readonly name: string
  readonly metadata: Buffer
}
