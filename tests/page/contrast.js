// The texts of the page whose contrast is under 4.5 to 1, as WCAG 2.2 defines it.
function parts(colour) {
  const numbers = colour.match(/[\d.]+/g).map(Number);
  return numbers.length === 3 ? [...numbers, 1] : numbers;
}
function luminance([red, green, blue]) {
  const linear = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}
function behind(element) {
  for (; element; element = element.parentElement) {
    const colour = parts(getComputedStyle(element).backgroundColor);
    if (colour[3] > 0) return colour;
  }
  return [255, 255, 255, 1];
}
const faint = [];
for (const element of document.querySelectorAll("body *")) {
  const hasText = Array.from(element.childNodes).some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!hasText || !element.checkVisibility()) continue;
  const [one, two] = [parts(getComputedStyle(element).color), behind(element)].map(luminance);
  const contrast = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
  if (contrast < 4.5) faint.push(`${contrast.toFixed(2)} ${element.textContent.trim().slice(0, 40)}`);
}
return faint;
