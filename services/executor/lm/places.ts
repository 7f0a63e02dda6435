/** Places for calls that are under way at once; whoever finds none waits in line. */
export class Places {
  #max: number;
  #taken = 0;
  #line: (() => void)[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  /** How many calls wait. */
  get waiting(): number {
    return this.#line.length;
  }

  /** Changes how many there are; who waits gets in if there are more. */
  resize(max: number): void {
    this.#max = max;
    this.#admit();
  }

  /** Takes a place if there is one and nobody waits for it. */
  tryTake(): boolean {
    if (this.#taken >= this.#max || this.#line.length > 0) return false;
    this.#taken += 1;
    return true;
  }

  /** Stands in line: `onPlace` is called, with the place taken, when it is one's turn. Gives back how to leave the line. */
  wait(onPlace: () => void): () => void {
    this.#line.push(onPlace);
    return () => {
      this.#line = this.#line.filter((waiter) => waiter !== onPlace);
    };
  }

  /** Gives a place back. */
  leave(): void {
    this.#taken -= 1;
    this.#admit();
  }

  #admit(): void {
    while (this.#taken < this.#max) {
      const next = this.#line.shift();
      if (next === undefined) return;
      this.#taken += 1;
      next();
    }
  }
}
