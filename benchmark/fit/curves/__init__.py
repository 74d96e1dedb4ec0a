"""What is measured along a training beside the codes' mAP: class head, generated images, sample grids."""
