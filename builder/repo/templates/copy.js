// A button to copy each block of commands; without scripts the text can still be selected.
for (const block of document.querySelectorAll("pre")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    const range = document.createRange();
    range.selectNodeContents(block.querySelector("code"));
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    try {
      // Browsers offer the clipboard over https and on localhost alone.
      if (navigator.clipboard) await navigator.clipboard.writeText(range.toString());
      else document.execCommand("copy");
      button.textContent = "Copied";
      selection.removeAllRanges();
    } catch {
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  block.append(button);
}
