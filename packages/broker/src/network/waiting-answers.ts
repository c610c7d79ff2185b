/**
 * Bounds the requests that were begun and not answered, over all connections (`queued.max.responses`). With few of them a connection
 * may have many: that makes pipelines fast. With too many each connection may have one, so that a disk that stalls does not fill the
 * heap with waiting producers, and still nobody is shut out.
 */
export class WaitingAnswers {
  readonly maxCount: number
  count = 0

  constructor(maxCount: number) {
    this.maxCount = maxCount
  }

  get isFull(): boolean {
    return this.count >= this.maxCount
  }
}
